"""Panoramas of a sort, made of photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compile.imaging.bundled import bundled_photos
from compile.imaging.read_photo import read_photo
from compile.imaging.transfer import srgb_decode
from compile.training.scenes.write_exr import write_exr

NAMES = ("one", "two", "crossroads")


def write_little_scenes(folder: Path) -> Path:
    """Two to train on and one for validation, by names of the catalogue; returns ``folder``."""
    for name, photo in zip(NAMES, bundled_photos("calibration"), strict=False):
        light = srgb_decode(read_photo(photo)[:256, :512] / 255).astype(np.float32)
        write_exr(folder / f"{name}.exr", light)
    return folder
