"""Lights that no file has: suns, lamps, windows, reflections, with bloom and flare, put onto a
scene's light. Their radiance is known where a photograph is white, and it has no upper limit.

A panorama of 1024 columns shows the sun as four pixels, and files of 16 bits cut it off. What is
here is round, falls off smoothly, and is as large as a photograph may have it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_MEAN_COUNT = 0.8
_SHARE_OF_FLARES, _SHARE_OF_COLOURED = 0.3, 0.15


@dataclass(frozen=True)
class Canvas:
    """Where lights are drawn: coordinates in pixels, float32 [H,W]."""

    rows: Tensor
    columns: Tensor

    @property
    def size(self) -> float:
        """Of its longer side, in pixels."""
        return float(max(self.rows.shape))

    def from_point(self, row: float, column: float) -> tuple[Tensor, Tensor]:
        """How far each pixel lies below and to the right of a point."""
        return self.rows - row, self.columns - column


def add_lights(relative: Tensor, random: np.random.Generator) -> Tensor:
    """Put one to some lights onto ``relative`` light, float32 [3,H,W], 1 = white: of that shape."""
    height, width = relative.shape[-2:]
    ticks = (torch.arange(n, device=relative.device, dtype=torch.float32) for n in (height, width))
    canvas = Canvas(*torch.meshgrid(*ticks, indexing="ij"))
    for _ in range(1 + random.poisson(_MEAN_COUNT)):
        kind = _KINDS[random.choice(len(_KINDS), p=_SHARES)]
        relative = kind(relative, canvas, random)
    return relative


def draw_sun(relative: Tensor, canvas: Canvas, random: np.random.Generator) -> Tensor:
    """A disc with a soft limb in a halo that falls by a power, redder outside; some with flare."""
    row, column = _anywhere(canvas, random)
    radius = canvas.size * 10 ** random.uniform(-2.2, -0.9)
    soft = 0.4 + radius * random.uniform(0.02, 0.2)
    colour, peak = _warm(random), 10 ** random.uniform(0.6, 3)
    distance = _distance(canvas, row, column)
    disc = torch.sigmoid((radius - distance) / soft)
    falloff = 1 + (distance / (radius * random.uniform(1, 3))).square()
    haze = 10 ** random.uniform(-1.5, 0.4)
    powers = random.uniform(0.9, 2) * np.sort(random.uniform(1, 1.4, 3))
    halo = torch.stack([falloff ** -float(power) for power in powers])
    relative = relative + _planes(colour, disc) * (peak * disc + haze * halo)
    if random.random() < _SHARE_OF_FLARES:
        relative = relative + _flare(canvas, row, column, random)
    return relative


def draw_lamp(relative: Tensor, canvas: Canvas, random: np.random.Generator) -> Tensor:
    """A bright core, a bloom around it."""
    row, column = _anywhere(canvas, random)
    width = canvas.size * 10 ** random.uniform(-2.4, -1.3)
    squared = _distance(canvas, row, column).square() / width**2
    bloom = 10 ** random.uniform(-1.5, 0.2) / (1 + squared / random.uniform(2, 12)) ** 1.5
    shape = 10 ** random.uniform(0.3, 2.5) * torch.exp(-squared / 2) + bloom
    return relative + _planes(_colour(random), shape) * shape


def draw_window(relative: Tensor, canvas: Canvas, random: np.random.Generator) -> Tensor:
    """A rectangle, nearly upright, through which the scene is brighter, or light alone is seen that
    changes steadily across it."""
    row, column = _anywhere(canvas, random)
    down, right = canvas.from_point(row, column)
    angle = random.normal(0, 0.06)
    along = right * np.cos(angle) + down * np.sin(angle)
    across = down * np.cos(angle) - right * np.sin(angle)
    half_width, half_height = canvas.size * 10 ** random.uniform(-1.6, -0.6, 2)
    soft = 10 ** random.uniform(-0.4, 0.5)
    inside = torch.sigmoid((half_width - along.abs()) / soft)
    inside = inside * torch.sigmoid((half_height - across.abs()) / soft)
    slope = random.normal(0, 0.8, 2)
    steady = torch.exp2(along / half_width * slope[0] + across / half_height * slope[1])
    peak = 10 ** random.uniform(0, 1.2)
    if random.random() < 0.5:
        return relative * (1 + inside * steady * (2 * peak))
    return relative * (1 - inside) + peak * _planes(_warm(random), inside) * inside * steady


def draw_reflections(relative: Tensor, canvas: Canvas, random: np.random.Generator) -> Tensor:
    """Small longish spots near one another, as water and metal have them."""
    row, column = _anywhere(canvas, random)
    angle, colour = random.uniform(0, np.pi), _warm(random)
    spread = canvas.size * random.uniform(0.02, 0.15)
    shape = torch.zeros_like(canvas.rows)
    for _ in range(int(random.integers(3, 12))):
        down, right = canvas.from_point(row + random.normal(0, spread), column)
        right = right - random.normal(0, spread)
        along = right * np.cos(angle) + down * np.sin(angle)
        across = down * np.cos(angle) - right * np.sin(angle)
        width = 10 ** random.uniform(-0.2, 0.6)
        length = width * 10 ** random.uniform(0, 0.7)
        spot = torch.exp(-((along / length).square() + (across / width).square()) / 2)
        shape = shape + 10 ** random.uniform(0.2, 2.2) * spot
    return relative + _planes(colour, shape) * shape


def _flare(canvas: Canvas, row: float, column: float, random: np.random.Generator) -> Tensor:
    """Pale discs on the line from the light through the picture's middle, and a streak."""
    middle = canvas.size / 2
    light = torch.zeros(3, *canvas.rows.shape, device=canvas.rows.device)
    for _ in range(int(random.integers(1, 5))):
        along = random.uniform(0.3, 2)
        ghost = (p + along * (middle - p) for p in (row, column))
        radius = canvas.size * random.uniform(0.01, 0.08)
        shape = torch.sigmoid((radius - _distance(canvas, *ghost)) / (0.1 * radius))
        light = light + 10 ** random.uniform(-2, -0.7) * (
            _planes(random.uniform(0, 1, 3), shape) * shape
        )
    down, right = canvas.from_point(row, column)
    width, length = random.uniform(0.5, 2), canvas.size * random.uniform(0.1, 0.5)
    streak = torch.exp(-((down / width).square() + (right / length).square()) / 2)
    return light + 10 ** random.uniform(-1.5, 0) * _planes(_warm(random), streak) * streak


_KINDS: tuple[Callable[[Tensor, Canvas, np.random.Generator], Tensor], ...] = (
    draw_sun,
    draw_lamp,
    draw_window,
    draw_reflections,
)
_SHARES = (0.4, 0.25, 0.2, 0.15)


def _anywhere(canvas: Canvas, random: np.random.Generator) -> tuple[float, float]:
    height, width = canvas.rows.shape
    return random.uniform(-0.02, 1.02) * height, random.uniform(-0.02, 1.02) * width


def _distance(canvas: Canvas, row: float, column: float) -> Tensor:
    return torch.hypot(*canvas.from_point(row, column))


def _warm(random: np.random.Generator) -> np.ndarray:
    """White to orange, green 1."""
    warmth = 2 ** random.uniform(-0.15, 0.9)
    return np.array([warmth, 1, warmth**-1.3])


def _colour(random: np.random.Generator) -> np.ndarray:
    if random.random() < _SHARE_OF_COLOURED:
        colour = random.uniform(0.02, 1, 3)
        return colour / colour.max()
    return _warm(random)


def _planes(colour: np.ndarray, like: Tensor) -> Tensor:
    return torch.tensor(colour, dtype=torch.float32, device=like.device)[:, None, None]
