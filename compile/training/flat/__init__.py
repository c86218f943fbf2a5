"""The second test set: flat HDR photographs through named cameras, in three exposures.

It is made when it is needed, of what ``compile/scenes.py fetch`` has put into a folder, and always
the same; none of the photographs or places is trained on.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from compile.imaging.decode_hdr import PEAK
from compile.support.errors import DataError
from compile.training.flat.film_curves import FILM_CURVES
from compile.training.pairs import Pair
from compile.training.response_curves import CURVES
from compile.training.scenes.catalogue import FLAT_TEST, catalogue
from compile.training.scenes.fetch import scene_file
from compile.training.scenes.read_hdr import read_hdr
from compile.training.virtual_camera import through_jpeg

_CAMERAS = Path(__file__).with_name("cameras.toml")
# What is white in the middle one of the exposures, by the brightest channel.
_WHITE_PERCENTILE = 98.0


def flat_pairs(folder: Path, size: int) -> dict[str, Pair]:
    """The middle square of each photograph of the catalogue in ``folder``, through each camera in
    each exposure, by names such as "tree: AgX -2 JPEG": photograph, uint8 [size,size,3], and its
    light, float32 of that shape (1 = what plain sRGB shows as white, at most 16).

    Raises:
        DataError: one of them is not there.
        PhotoError: one cannot be read.
    """
    scenes = [scene for scene in catalogue() if scene.role == FLAT_TEST]
    pairs: dict[str, Pair] = {}
    for number, scene in enumerate(scenes):
        path = scene_file(folder, scene)
        if not path.is_file():
            raise DataError(
                f"{folder} holds no {path.name}: fetch it with python compile/scenes.py fetch"
            )
        light = _middle_square(read_hdr(path), size)
        pairs |= {f"{scene.name}: {name}": pair for name, pair in _taken(light, number).items()}
    return pairs


def photograph_of(name: str) -> str:
    """The photograph that a pair's ``name`` says it is of; a held-out pair's is itself."""
    return name.partition(":")[0]


def _taken(light: NDArray[np.float32], number: int) -> dict[str, Pair]:
    data = tomllib.loads(_CAMERAS.read_text(encoding="utf-8"))
    white = float(np.percentile(light.max(-1), _WHITE_PERCENTILE))
    taken: dict[str, Pair] = {}
    for camera in data["camera"]:
        curve = (CURVES | FILM_CURVES)[camera["curve"]]
        for stops in data["stops"]:
            number += 1
            truth = np.minimum(light * np.float32(2.0**stops / white), np.float32(PEAK))
            value = curve(torch.from_numpy(truth), **camera.get("parameters", {})).clamp(0, 1)
            photo = (value * 255).round().to(torch.uint8).numpy()
            name = f"{camera['name']} {stops:+d}"
            if number % 2:
                photo, name = through_jpeg(photo, data["jpeg_quality"]), f"{name} JPEG"
            taken[name] = photo, truth
    return taken


def _middle_square(light: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    height, width = light.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = torch.from_numpy(light[top : top + side, left : left + side]).permute(2, 0, 1)[None]
    seen = F.interpolate(square, (size, size), mode="bilinear", antialias=True)
    return seen[0].permute(1, 2, 0).contiguous().numpy()
