"""The cameras that photographs to train on are taken with: ``cameras.toml`` as dataclasses."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compile.training.response_curves import CURVES
from compile.training.virtual_camera import draw_noise, photograph, through_jpeg

MEASURED = "measured"
_FILE = Path(__file__).with_name("cameras.toml")


@dataclass(frozen=True)
class Camera:
    """One kind of camera.

    Attributes:
        name, share, curve, noisy, jpeg: as the comment in ``cameras.toml`` says.
        jpeg_quality: least and most.
        parameters: of the curve, each a range.
    """

    name: str
    share: float
    curve: str
    noisy: float
    jpeg: float
    jpeg_quality: tuple[int, int]
    parameters: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether a photograph is its light in sRGB's curve and 8 bits, and nothing else."""
        return self.curve == "srgb" and not self.noisy and not self.jpeg

    def take(self, light: Tensor, random: np.random.Generator) -> Tensor:
        """The photograph, float32 [3,H,W] in steps of 1/255, of relative ``light``, float32
        [3,H,W], 1 = what plain sRGB shows as white."""
        if self.curve == MEASURED:
            pixels = photograph(_rows(light), random)
            return _planes(pixels).to(light.device)
        if random.random() < self.noisy:
            shot, read = draw_noise(random)
            generator = torch.Generator(light.device).manual_seed(int(random.integers(2**62)))
            noise = torch.randn(light.shape, generator=generator, device=light.device)
            light = (light + noise * (shot * light + read).sqrt()).clamp_min(0)
        values = {name: random.uniform(*limits) for name, limits in self.parameters.items()}
        photo = (CURVES[self.curve](light, **values).clamp(0, 1) * 255).round() / 255
        if random.random() < self.jpeg:
            quality = int(random.integers(*self.jpeg_quality, endpoint=True))
            pixels = through_jpeg((_rows(photo) * 255).round().astype(np.uint8), quality)
            photo = _planes(pixels).to(light.device)
        return photo


@cache
def cameras() -> tuple[Camera, ...]:
    """Every camera of ``cameras.toml``; their shares add up to 1."""
    data = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    quality = tuple(data["jpeg_quality"])
    return tuple(Camera(jpeg_quality=quality, **entry) for entry in data["camera"])


def random_camera(random: np.random.Generator) -> Camera:
    """One of :func:`cameras`, by their shares."""
    known = cameras()
    return known[random.choice(len(known), p=[camera.share for camera in known])]


def _rows(planes: Tensor) -> NDArray[np.float32]:
    return planes.permute(1, 2, 0).cpu().numpy()


def _planes(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
