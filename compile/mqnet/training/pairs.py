"""Pairs to train and to judge on: a photograph and the light that it was taken of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compile.imaging.decode_hdr import encode_hdr
from compile.mqnet.scenes.views import Panorama, random_view
from compile.mqnet.training.virtual_camera import expose, photograph

Pair = tuple[NDArray[np.uint8], NDArray[np.float32]]


def random_pair(panorama: Panorama, size: int, random: np.random.Generator) -> Pair:
    """A square photograph, uint8 [size,size,3], and its relative light, float32 of that shape
    (1 = the photograph's white, at most 16)."""
    light = panorama.look(random_view(panorama, size, random), size, size)
    if random.random() < 0.5:
        light = light[:, ::-1]
    relative = expose(light, random)
    return photograph(relative, random), relative


def fixed_pairs(panoramas: Sequence[Panorama], size: int, each: int, seed: int) -> list[Pair]:
    """``each`` pairs of every panorama, always the same ones for one ``seed``."""
    return [
        random_pair(panorama, size, np.random.default_rng((seed, place, index)))
        for place, panorama in enumerate(panoramas)
        for index in range(each)
    ]


def random_batch(
    panoramas: Sequence[Panorama], size: int, count: int, seed: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Photographs, float32 [count,3,size,size] in [0,1], and the network's targets H, of that
    shape; the same ``seed`` gives the same batch, so that training can stop and go on anywhere."""
    random = np.random.default_rng(seed)
    chosen = random.integers(len(panoramas), size=count)
    return as_batch([random_pair(panoramas[index], size, random) for index in chosen])


def as_batch(pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """``pairs`` of one size as the network takes them: photographs and targets H, [N,3,H,W]."""
    photos = torch.from_numpy(np.stack([photo for photo, _ in pairs]))
    targets = torch.from_numpy(np.stack([encode_hdr(light) for _, light in pairs]))
    return photos.permute(0, 3, 1, 2).float() / 255, targets.permute(0, 3, 1, 2)
