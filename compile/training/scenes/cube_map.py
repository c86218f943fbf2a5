"""Cube maps in KTX files, as renderers keep their skies: to an equirectangular panorama."""

from __future__ import annotations

import struct

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from compile.support.errors import PhotoError

_SIGNATURE = b"\xabKTX 11\xbb\r\n\x1a\n"
_GL_R11F_G11F_B10F = 0x8C3A
_FACES = 6

#: (axis, sign, axis and sign of s, axis and sign of t) of each face, in the file's order: +x, -x,
#: +y, -y, +z, -z (OpenGL 4.6 core profile, table 8.19).
_FACE_AXES = (
    (0, 1, (2, -1), (1, -1)),
    (0, -1, (2, 1), (1, -1)),
    (1, 1, (0, 1), (2, 1)),
    (1, -1, (0, 1), (2, -1)),
    (2, 1, (0, 1), (1, -1)),
    (2, -1, (0, -1), (1, -1)),
)


def read_cube_map(data: bytes, name: str) -> NDArray[np.float32]:
    """The six faces, float32 [6,N,N,3], of a KTX 1 file with 11, 11 and 10 bit floats.

    Format: Khronos KTX 1.0, section 2; pixels: OpenGL 4.6 core profile, sections 2.3.4.3-4.

    Raises:
        PhotoError: another format, or a file that is cut short.
    """
    if not data.startswith(_SIGNATURE) or len(data) < 64:
        raise PhotoError(f"{name} is no KTX 1 file")
    header = struct.unpack_from("<13I", data, len(_SIGNATURE))
    internal_format, width, height = header[4], header[6], header[7]
    faces, key_value_bytes = header[10], header[12]
    if internal_format != _GL_R11F_G11F_B10F or faces != _FACES or width != height:
        raise PhotoError(f"{name} is no cube map of 11, 11 and 10 bit floats")
    start = 64 + key_value_bytes + 4
    count = _FACES * width * height
    if len(data) < start + 4 * count:
        raise PhotoError(f"{name} is cut short")
    packed = np.frombuffer(data, "<u4", count, start).reshape(_FACES, height, width)
    channels = [
        _small_float(packed & 0x7FF, 6),
        _small_float(packed >> 11 & 0x7FF, 6),
        _small_float(packed >> 22, 5),
    ]
    return np.stack(channels, -1)


def cube_to_equirectangular(faces: NDArray[np.float32], height: int) -> NDArray[np.float32]:
    """The panorama, float32 [height, 2*height, 3], of a cube map float32 [6,N,N,3]."""
    latitude = (0.5 - (torch.arange(height) + 0.5) / height) * torch.pi
    longitude = ((torch.arange(2 * height) + 0.5) / height - 1) * torch.pi
    across = torch.cos(latitude)[:, None]
    direction = torch.stack(
        [
            across * torch.sin(longitude),
            torch.sin(latitude)[:, None].expand(-1, 2 * height),
            across * torch.cos(longitude),
        ]
    )
    face_of = direction.abs().argmax(0)
    panorama = torch.zeros(height, 2 * height, 3)
    for face, (axis, sign, (s_axis, s_sign), (t_axis, t_sign)) in zip(
        torch.from_numpy(faces), _FACE_AXES, strict=True
    ):
        mine = (face_of == axis) & (direction[axis] * sign > 0)
        major = direction[axis].abs()
        s, t = direction[s_axis] * s_sign / major, direction[t_axis] * t_sign / major
        sampled = F.grid_sample(
            face.permute(2, 0, 1)[None],
            torch.stack([s, t], -1)[None],
            padding_mode="border",
            align_corners=False,
        )[0].permute(1, 2, 0)
        panorama[mine] = sampled[mine]
    return panorama.numpy()


def _small_float(bits: NDArray[np.integer], mantissa_bits: int) -> NDArray[np.float32]:
    """Unsigned floats of a 5-bit exponent (bias 15) and ``mantissa_bits``."""
    exponent = (bits >> mantissa_bits).astype(np.int32)
    mantissa = (bits & ((1 << mantissa_bits) - 1)).astype(np.float32) / (1 << mantissa_bits)
    normal = np.ldexp(1 + mantissa, exponent - 15)
    return np.where(exponent == 0, np.ldexp(mantissa, -14), normal).astype(np.float32)
