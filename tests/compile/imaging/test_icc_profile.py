"""A picture that is HDR already is known by every sign of it, and refused."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import BT2020, D65, chunk, iccp, jpeg, png, scene, srgb_profile

from compile.imaging.read_photo import read_photo
from compile.imaging.transfer import hlg_decode, pq_decode
from compile.support.errors import PhotoError

PALETTE = scene(64, 64)


def read(tmp_path: Path, data: bytes) -> NDArray[np.int64]:
    path = tmp_path / "photo"
    path.write_bytes(data)
    return read_photo(path).astype(int)


def curve_profile(curve: NDArray, kind: str = "rgb") -> bytes:
    table = np.rint(curve * 65535).astype(np.uint16)
    primaries = {"primaries": BT2020} if kind == "rgb" else {}
    return imagecodecs.cms_profile(kind, whitepoint=D65, transferfunction=table, **primaries)


def with_cicp_tag(profile: bytes, transfer: int) -> bytes:
    """ICC.1:2022, 9.2.17, in the place of the copyright."""
    at = profile.find(b"cprt")
    start, _ = struct.unpack_from(">II", profile, at + 4)
    changed = bytearray(profile)
    changed[at : at + 12] = struct.pack(">4sII", b"cicp", start, 12)
    changed[start : start + 12] = b"cicp\0\0\0\0" + bytes((9, transfer, 0, 1))
    return bytes(changed)


RAMP = np.linspace(0, 1, 1024)


@pytest.mark.parametrize(
    ("data", "curve"),
    [
        (png(PALETTE, chunk(b"cICP", bytes((9, 16, 0, 1)))), "PQ"),
        (png(PALETTE, chunk(b"cICP", bytes((9, 18, 0, 1))), chunk(b"sRGB", b"\0")), "HLG"),
        (png(PALETTE, iccp(srgb_profile(), b"ITUR_2100_PQ_FULL")), "PQ"),
        (png(PALETTE, iccp(with_cicp_tag(srgb_profile(), 18))), "HLG"),
        (png(PALETTE, iccp(curve_profile(pq_decode(RAMP) / 10_000))), "PQ"),
        (png(PALETTE[..., :1], iccp(curve_profile(hlg_decode(RAMP), "gray"))), "HLG"),
        (jpeg(PALETTE, icc_profile=curve_profile(hlg_decode(RAMP))), "HLG"),
        (jpeg(PALETTE, icc_profile=with_cicp_tag(srgb_profile(), 16)), "PQ"),
    ],
)
def test_an_hdr_picture_is_refused(tmp_path: Path, data: bytes, curve: str) -> None:
    with pytest.raises(PhotoError, match=f"HDR already \\({curve}") as caught:
        read(tmp_path, data)
    assert "\n" not in str(caught.value)
