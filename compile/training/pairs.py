"""Pairs to train and to judge on: a photograph and the light that it was taken of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compile.imaging.decode_hdr import encode_hdr
from compile.training.scenes.views import Place
from compile.training.virtual_camera import expose, log_mean, photograph

Pair = tuple[NDArray[np.uint8], NDArray[np.float32]]


# Of the pairs that are trained on: channels in another order, and two places in one picture.
_SHARE_OF_OTHER_COLOURS, _SHARE_OF_REFLECTIONS = 0.25, 0.2
_REFLECTION_STOPS = (-4.0, 0.0)


def random_pair(place: Place, size: int, random: np.random.Generator) -> Pair:
    """A square photograph, uint8 [size,size,3], and its relative light, float32 of that shape
    (1 = the photograph's white, at most 16)."""
    relative = expose(_random_light(place, size, random), random)
    return photograph(relative, random), relative


def varied_pair(places: Sequence[Place], size: int, random: np.random.Generator) -> Pair:
    """As :func:`random_pair`, of what none of the few ``places`` shows: some with their colours
    exchanged, some with another place's light on top of theirs, as a window pane reflects it. Light
    adds up and noise stays what it is, so that whatever tells a response curve still tells it."""
    first, second = (places[index] for index in random.integers(len(places), size=2))
    light = _random_light(first, size, random)
    if random.random() < _SHARE_OF_REFLECTIONS:
        other = _random_light(second, size, random)
        stops = random.uniform(*_REFLECTION_STOPS)
        light = light + other * (2**stops * log_mean(light) / log_mean(other))
    if random.random() < _SHARE_OF_OTHER_COLOURS:
        light = light[..., random.permutation(3)]
    relative = expose(light, random)
    return photograph(relative, random), relative


def _random_light(place: Place, size: int, random: np.random.Generator) -> NDArray[np.float32]:
    light = place.random_look(size, random)
    return light[:, ::-1] if random.random() < 0.5 else light


def fixed_pairs(places: Sequence[Place], size: int, each: int, seed: int) -> list[Pair]:
    """``each`` pairs of every place, always the same ones for one ``seed``."""
    return [
        random_pair(place, size, np.random.default_rng((seed, number, index)))
        for number, place in enumerate(places)
        for index in range(each)
    ]


def random_batch(
    places: Sequence[Place], size: int, count: int, seed: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Photographs, float32 [count,3,size,size] in [0,1], and the network's targets H, of that
    shape; the same ``seed`` gives the same batch, so that training can stop and go on anywhere."""
    random = np.random.default_rng(seed)
    return as_batch([varied_pair(places, size, random) for _ in range(count)])


def as_batch(pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """``pairs`` of one size as the network takes them: photographs and targets H, [N,3,H,W]."""
    photos = torch.from_numpy(np.stack([photo for photo, _ in pairs]))
    targets = torch.from_numpy(np.stack([encode_hdr(light) for _, light in pairs]))
    return photos.permute(0, 3, 1, 2).float() / 255, targets.permute(0, 3, 1, 2)
