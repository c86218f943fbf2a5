"""Batches to train on: photographs of scenes with and without lights put onto them, by cameras of
``cameras.toml``, and the network's targets. All of it is made on the device that trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from compile.imaging.decode_hdr import PEAK
from compile.training.cameras import random_camera
from compile.training.light_code import mu_law_of_light
from compile.training.lights import add_lights
from compile.training.scenes.views import Look, Place
from compile.training.virtual_camera import LUMINANCE

# Panoramas have light in their shadows. A network that knows nothing else takes the deep ones of
# other photographs for a film's curve, and lifts them: of the contrast it must not tell the curve.
_SHARE_OF_OTHER_CONTRASTS, _CONTRASTS = 0.3, (0.9, 1.5)
# Channels in another order, two places in one picture, lights that are added.
_SHARE_OF_OTHER_COLOURS, _SHARE_OF_REFLECTIONS, _SHARE_OF_LIGHTS = 0.1, 0.15, 0.35
_REFLECTION_STOPS = (-4.0, 0.0)
# Exposed for the highlights: this percentile of the picture is white. Else for the log mean.
_SHARE_OF_HIGHLIGHT_EXPOSURES, _WHITE_PERCENTILE = 0.5, (85.0, 99.9)
_MIDDLE_GREY, _STOPS = 0.18, (-1.0, 1.5)
# Taken too dark or too light on top of that.
_SHARE_OF_OTHER_STOPS, _OTHER_STOPS = 0.4, (-3.0, 2.0)
_WHITE_BALANCE_SIGMA = 0.08
_DARKEST = 1e-6


@dataclass(frozen=True)
class Batch:
    """What one step trains on.

    Attributes:
        photos: float32 [N,3,H,W] in [0, 1].
        targets: the mu-law light y that is wanted of the network, float32 [N,3,H,W].
        trust: float32 [N,1,H,W], 0 where the target is not to be learnt, else 1.
        plain: bool [N], the photograph is its light in sRGB's curve, in 8 bits.
    """

    photos: Tensor
    targets: Tensor
    trust: Tensor
    plain: Tensor


def random_batch(places: Sequence[Place], size: int, count: int, seed: tuple[int, ...]) -> Batch:
    """``count`` pictures of ``size`` pixels, on the device of ``places``; the same ``seed`` gives
    the same ones there, so that training can stop and go on anywhere."""
    random = np.random.default_rng(seed)
    made = [_random_picture(places, size, random) for _ in range(count)]
    photos, targets, trust, plain = zip(*made, strict=True)
    return Batch(torch.stack(photos), torch.stack(targets), torch.stack(trust), torch.tensor(plain))


def _random_picture(
    places: Sequence[Place], size: int, random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Photograph, target, trust, and whether the camera is plain."""
    first, second = (places[index] for index in random.integers(len(places), size=2))
    light, trust = _look(first, size, random)
    if random.random() < _SHARE_OF_REFLECTIONS:
        other = _look(second, size, random)
        stops = random.uniform(*_REFLECTION_STOPS)
        light = light + other.light * (2**stops * _log_mean(light) / _log_mean(other.light))
        trust = trust * other.trust
    if random.random() < _SHARE_OF_OTHER_COLOURS:
        light = light[torch.from_numpy(random.permutation(3))]
    if random.random() < _SHARE_OF_OTHER_CONTRASTS:
        light = (light / _log_mean(light)) ** random.uniform(*_CONTRASTS)
    relative = light * _gain(light, random)
    if random.random() < _SHARE_OF_LIGHTS:
        relative = add_lights(relative, random)
    if random.random() < _SHARE_OF_OTHER_STOPS:
        relative = relative * 2 ** random.uniform(*_OTHER_STOPS)
    balance = np.exp(random.normal(0, _WHITE_BALANCE_SIGMA, 3))
    factors = torch.tensor(balance / balance[1], dtype=torch.float32, device=light.device)
    relative = (relative * factors[:, None, None]).clamp_max(PEAK)
    camera = random_camera(random)
    photo = camera.take(relative, random)
    return photo, mu_law_of_light(relative), trust, camera.plain


def _look(place: Place, size: int, random: np.random.Generator) -> Look:
    look = place.random_look(size, random)
    if random.random() < 0.5:
        look = Look(look.light.flip(-1), look.trust.flip(-1))
    return look


def _gain(light: Tensor, random: np.random.Generator) -> float:
    if random.random() < _SHARE_OF_HIGHLIGHT_EXPOSURES:
        share = random.uniform(*_WHITE_PERCENTILE) / 100
        white = torch.quantile(light.amax(0).flatten(), share)
        return 1 / max(float(white), _DARKEST)
    return _MIDDLE_GREY * 2 ** random.uniform(*_STOPS) / _log_mean(light)


def _log_mean(light: Tensor) -> float:
    """Geometric mean of the luminance of linear ``light``, float32 [3,H,W], in its unit."""
    luminance = torch.tensordot(torch.from_numpy(LUMINANCE).to(light.device), light, 1)
    return max(float((luminance + 1e-5).log().mean().exp()), _DARKEST)
