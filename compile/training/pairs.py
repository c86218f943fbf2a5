"""Pairs to judge on: a photograph and the light that it was taken of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compile.imaging.decode_hdr import mu_law
from compile.imaging.transfer import srgb_encode
from compile.training.scenes.views import Place
from compile.training.virtual_camera import expose, photograph

Pair = tuple[NDArray[np.uint8], NDArray[np.float32]]


Camera = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.uint8]]
"""From relative light, float32 [H,W,3], to a photograph of it, uint8 [H,W,3]."""


def take_plainly(relative: NDArray[np.float32], _random: np.random.Generator) -> NDArray[np.uint8]:
    """The photograph of relative light in sRGB's curve and 8 bits, and nothing else."""
    return np.rint(srgb_encode(relative) * 255).astype(np.uint8)


def random_pair(
    place: Place, size: int, random: np.random.Generator, camera: Camera = photograph
) -> Pair:
    """A square photograph, uint8 [size,size,3], and its relative light, float32 of that shape
    (1 = the photograph's white, at most 16)."""
    light = place.random_look(size, random).light.permute(1, 2, 0).cpu().numpy()
    light = light[:, ::-1] if random.random() < 0.5 else light
    relative = expose(light, random)
    return camera(relative, random), relative


def fixed_pairs(
    places: Sequence[Place], size: int, each: int, seed: int, camera: Camera = photograph
) -> list[Pair]:
    """``each`` pairs of every place, always the same ones for one ``seed``."""
    return [
        random_pair(place, size, np.random.default_rng((seed, number, index)), camera)
        for number, place in enumerate(places)
        for index in range(each)
    ]


def as_batch(pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """``pairs`` of one size as the network takes them: photographs in [0, 1] and the mu-law
    light that is wanted, float32 [N,3,H,W]."""
    photos = torch.from_numpy(np.stack([photo for photo, _ in pairs]))
    targets = torch.from_numpy(np.stack([mu_law(light) for _, light in pairs]))
    return photos.permute(0, 3, 1, 2).float() / 255, targets.permute(0, 3, 1, 2)
