"""What a camera would see of a place: views out of a panorama, parts of a flat picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from compile.training.scenes.sharpening import find_rings

# Pitch, roll and field of view in degrees: hand-held pictures of any subject.
_PITCH_SIGMA, _PITCH_LIMIT, _ROLL_SIGMA = 12.0, 45.0, 2.0
_FIELD_OF_VIEW = (40.0, 95.0)
# A panorama of 1024 columns has 2.8 pixels per degree: beyond this many pixels of the view for one
# of the panorama there is nothing but blur.
_MOST_ENLARGEMENT = 1.5
_LEVELS = 3
# Of the trust of a pixel that was made of none but trusted ones; less only by rounding.
_WHOLE = 0.999


@dataclass(frozen=True)
class View:
    """Where a camera looks: angles in degrees; the field of view is across the picture's width."""

    yaw: float
    pitch: float
    roll: float
    field_of_view: float


class Look(NamedTuple):
    """What a camera sees.

    Attributes:
        light: linear, float32 [3,H,W].
        trust: float32 [1,H,W], 0 where a sharpening filter has left its mark, else 1.
    """

    light: Tensor
    trust: Tensor


class Place(Protocol):
    """What pictures to train on can be taken of."""

    def random_look(self, size: int, random: np.random.Generator) -> Look:
        """Some part of it, ``size`` pixels high and wide."""


class Panorama:
    """An equirectangular panorama with the halved copies that distant views are taken from."""

    def __init__(self, light: NDArray[np.float32], device: str = "cpu") -> None:
        """From linear light, float32 [H,2H,3], to look at on a device of torch."""
        levels = [_with_trust(light, device)]
        for _ in range(_LEVELS - 1):
            levels.append(F.avg_pool2d(levels[-1], 2))
        # The seam at the back: a column of the other side on each.
        self._levels = [torch.cat([x[..., -1:], x, x[..., :1]], -1) for x in levels]

    @property
    def width(self) -> int:
        """Columns at full size."""
        return self._levels[0].shape[-1] - 2

    def look(self, view: View, height: int, width: int) -> Look:
        """What is seen in the direction of ``view`` (a pinhole camera; bilinear from the level
        whose pixels are nearest in size)."""
        focal = 0.5 * width / math.tan(math.radians(view.field_of_view) / 2)
        device = self._levels[0].device
        x = (torch.arange(width, device=device) - (width - 1) / 2) / focal
        y = ((height - 1) / 2 - torch.arange(height, device=device)) / focal
        roll, pitch = math.radians(view.roll), math.radians(view.pitch)
        x, y = (
            x * math.cos(roll) + y[:, None] * math.sin(roll),
            y[:, None] * math.cos(roll) - x * math.sin(roll),
        )
        up = y * math.cos(pitch) + math.sin(pitch)
        ahead = math.cos(pitch) - y * math.sin(pitch)
        # Of the panorama, in [-1, 1]: longitude over 180 degrees, latitude over 90.
        across = torch.atan2(x, ahead) / math.pi + view.yaw / 180
        across = torch.remainder(across + 1, 2) - 1
        down = torch.atan2(up, torch.hypot(x, ahead)) * (-2 / math.pi)
        level = self._levels[self._level(focal)]
        # grid_sample's -1 and 1 are the outer edges, which the two seam columns have moved.
        columns = level.shape[-1]
        grid = torch.stack([across * ((columns - 2) / columns), down], -1)[None]
        seen = F.grid_sample(level, grid, padding_mode="border", align_corners=False)
        return _as_look(seen[0])

    def random_look(self, size: int, random: np.random.Generator) -> Look:
        """In a random direction."""
        return self.look(random_view(self, size, random), size, size)

    def _level(self, focal: float) -> int:
        """The halvings after which a pixel is as large as the picture's (focal in pixels)."""
        per_radian = self.width / (2 * math.pi)
        return int(np.clip(round(math.log2(max(per_radian / focal, 1))), 0, _LEVELS - 1))


def random_view(panorama: Panorama, width: int, random: np.random.Generator) -> View:
    """A view for a picture of ``width`` columns, not so narrow that it would be all blur."""
    narrowest = math.degrees(width / (panorama.width / (2 * math.pi)) / _MOST_ENLARGEMENT)
    low, high = _FIELD_OF_VIEW
    low = min(max(low, narrowest), high)
    return View(
        yaw=random.uniform(-180, 180),
        pitch=float(np.clip(random.normal(0, _PITCH_SIGMA), -_PITCH_LIMIT, _PITCH_LIMIT)),
        roll=random.normal(0, _ROLL_SIGMA),
        field_of_view=random.uniform(low, high),
    )


class Picture:
    """A flat HDR picture, as a camera has seen it."""

    def __init__(self, light: NDArray[np.float32], device: str = "cpu") -> None:
        """From linear light, float32 [H,W,3], to look at on a device of torch."""
        self._light = _with_trust(light, device)

    def random_look(self, size: int, random: np.random.Generator) -> Look:
        """A random square of it: all that fits in or less, but not so little that it would be all
        blur."""
        height, width = self._light.shape[-2:]
        largest = min(height, width)
        smallest = min(round(size / _MOST_ENLARGEMENT), largest)
        side = int(random.integers(smallest, largest, endpoint=True))
        top, left = (
            int(random.integers(length - side, endpoint=True)) for length in (height, width)
        )
        square = self._light[..., top : top + side, left : left + side]
        seen = F.interpolate(square, (size, size), mode="bilinear", antialias=True)
        return _as_look(seen[0])


def _with_trust(light: NDArray[np.float32], device: str) -> Tensor:
    """float32 [1,4,H,W]: light, and 1 where it can be trusted."""
    trust = 1 - find_rings(light).astype(np.float32)
    planes = torch.from_numpy(np.concatenate([light, trust[..., None]], -1))
    return planes.permute(2, 0, 1)[None].contiguous().to(device)


def _as_look(seen: Tensor) -> Look:
    return Look(seen[:3], (seen[3:] > _WHOLE).float())
