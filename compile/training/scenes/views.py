"""What a camera would see of a place: views out of a panorama, parts of a flat picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

# Pitch, roll and field of view in degrees: hand-held pictures of any subject.
_PITCH_SIGMA, _PITCH_LIMIT, _ROLL_SIGMA = 12.0, 45.0, 2.0
_FIELD_OF_VIEW = (40.0, 95.0)
# A panorama of 1024 columns has 2.8 pixels per degree: beyond this many pixels of the view for one
# of the panorama there is nothing but blur.
_MOST_ENLARGEMENT = 1.5
_LEVELS = 3


@dataclass(frozen=True)
class View:
    """Where a camera looks: angles in degrees; the field of view is across the picture's width."""

    yaw: float
    pitch: float
    roll: float
    field_of_view: float


class Place(Protocol):
    """What pictures to train on can be taken of."""

    def random_look(self, size: int, random: np.random.Generator) -> NDArray[np.float32]:
        """Linear light, float32 [size,size,3], of some part of it."""


class Panorama:
    """An equirectangular panorama with the halved copies that distant views are taken from."""

    def __init__(self, light: NDArray[np.float32]) -> None:
        """From linear light, float32 [H,2H,3]."""
        levels = [torch.from_numpy(light).permute(2, 0, 1)[None]]
        for _ in range(_LEVELS - 1):
            levels.append(F.avg_pool2d(levels[-1], 2))
        # The seam at the back: a column of the other side on each.
        self._levels = [torch.cat([x[..., -1:], x, x[..., :1]], -1) for x in levels]

    @property
    def width(self) -> int:
        """Columns at full size."""
        return self._levels[0].shape[-1] - 2

    def look(self, view: View, height: int, width: int) -> NDArray[np.float32]:
        """Linear light, float32 [height,width,3], in the direction of ``view`` (a pinhole camera;
        bilinear from the level whose pixels are nearest in size)."""
        focal = 0.5 * width / math.tan(math.radians(view.field_of_view) / 2)
        x = (torch.arange(width) - (width - 1) / 2) / focal
        y = ((height - 1) / 2 - torch.arange(height)) / focal
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
        return seen[0].permute(1, 2, 0).numpy()

    def random_look(self, size: int, random: np.random.Generator) -> NDArray[np.float32]:
        """Linear light, float32 [size,size,3], in a random direction."""
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

    def __init__(self, light: NDArray[np.float32]) -> None:
        """From linear light, float32 [H,W,3]."""
        self._light = torch.from_numpy(light).permute(2, 0, 1)[None]

    def random_look(self, size: int, random: np.random.Generator) -> NDArray[np.float32]:
        """Linear light, float32 [size,size,3], of a random square of it: all that fits in or less,
        but not so little that it would be all blur."""
        height, width = self._light.shape[-2:]
        largest = min(height, width)
        smallest = min(round(size / _MOST_ENLARGEMENT), largest)
        side = int(random.integers(smallest, largest, endpoint=True))
        top, left = (
            int(random.integers(length - side, endpoint=True)) for length in (height, width)
        )
        square = self._light[..., top : top + side, left : left + side]
        seen = F.interpolate(square, (size, size), mode="bilinear", antialias=True)
        return seen[0].permute(1, 2, 0).numpy()
