"""Read an HDR picture or panorama: linear light, checked before anything is learnt from it."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import OpenEXR
from numpy.typing import NDArray

from compile.support.errors import PhotoError
from compile.training.scenes.luminance_chroma import rgb_of

ENDINGS = (".exr", ".hdr")

_RADIANCE_SIGNATURES = (b"#?RADIANCE", b"#?RGBE")


def read_hdr(path: Path, check: bool = True) -> NDArray[np.float32]:
    """Linear RGB light, float32 [H,W,3], of an OpenEXR or Radiance file.

    Without ``check`` values that no light has are let through, for a caller who repairs them, an
    alpha channel and other views are left away, and luminance and chroma become RGB.

    Raises:
        PhotoError: missing, of another format, damaged; one channel or an alpha channel; a value
            that is not a number, infinite or negative.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise PhotoError(f"{path} is no HDR picture by its name: give {' or '.join(ENDINGS)}")
    if not path.is_file():
        raise PhotoError(f"{path} does not exist; check the picture's name")
    light = _read_exr(path, check) if path.suffix.lower() == ".exr" else _read_radiance(path)
    if check:
        check_light(light, str(path))
    return light


def read_panorama(path: Path) -> NDArray[np.float32]:
    """As :func:`read_hdr`, for an equirectangular panorama: float32 [H,2H,3].

    Raises:
        PhotoError: as :func:`read_hdr`, or the width is not twice the height.
    """
    light = read_hdr(path)
    height, width = light.shape[:2]
    if width != 2 * height:
        raise PhotoError(
            f"{path} is {width}x{height} pixels, not 2:1: give an equirectangular panorama of the "
            "whole sphere"
        )
    return light


def check_light(light: NDArray[np.float32], name: str) -> None:
    """Raise where ``light`` has a value that no light has.

    Raises:
        PhotoError: names the first such value and its pixel.
    """
    for what, wrong in (
        ("not a number", np.isnan(light)),
        ("infinite", np.isinf(light)),
        ("negative", light < 0),
    ):
        if wrong.any():
            y, x, channel = np.argwhere(wrong)[0]
            raise PhotoError(
                f"{name} has {int(wrong.sum())} values that are {what}, the first "
                f"({light[y, x, channel]}) at column {x}, row {y}, channel {'RGB'[channel]}: "
                "repair the picture or leave it out"
            )


def _read_exr(path: Path, check: bool) -> NDArray[np.float32]:
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except Exception as error:  # OpenEXR's binding raises bare Exceptions.
        raise _damaged(path) from error
    if not check:
        channels = {name: pixels for name, pixels in channels.items() if len(name) <= 2}
        channels.pop("A", None)
        if "Y" in channels:
            return rgb_of(channels)
    if set(channels) != set("RGB"):
        raise PhotoError(
            f"{path} has the channels {', '.join(sorted(channels))}, not R, G, B: save it as RGB "
            "without alpha"
        )
    return np.stack([np.asarray(channels[name], np.float32) for name in "RGB"], -1)


def _read_radiance(path: Path) -> NDArray[np.float32]:
    data = path.read_bytes()
    if not data.startswith(_RADIANCE_SIGNATURES):
        raise _damaged(path)
    try:
        return imagecodecs.rgbe_decode(data)
    except (imagecodecs.RgbeError, ValueError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> PhotoError:
    return PhotoError(f"{path} is damaged or no HDR picture; copy or download it again")
