"""What is kept steady, and what is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compile.video.steady_light import SteadyLight

RANDOM = np.random.default_rng(0)
# Luma of cells, as of a picture that goes from black to white.
LUMA = np.tile(np.linspace(20, 230, 12, dtype=np.float32), (9, 1))


def light_after(
    lumas: list[NDArray[np.float32]], lights: list[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """The light of cells with the correction of each frame."""
    keeper = SteadyLight()
    kept = []
    for luma, light in zip(lumas, lights, strict=True):
        correction = keeper.next(np.stack([luma, light]).astype(np.float32))
        curve = np.interp(luma, np.arange(256), correction.curve)
        kept.append(light + curve + correction.cells[1:-1, 1:-1])
    return kept


def test_light_of_a_still_picture_stays() -> None:
    """Whatever the network makes of the rest of it: all at once, by luma, or here and there."""
    trembling = [
        LUMA / 400 + 0.05 * np.sin(number) + 0.001 * RANDOM.standard_normal(LUMA.shape)
        for number in range(30)
    ]
    kept = light_after([LUMA] * 30, trembling)
    assert np.std(kept, axis=0).mean() < 0.2 * np.std(trembling, axis=0).mean()


def test_light_comes_to_what_the_network_says() -> None:
    lights = [LUMA / 400 + (0.1 if number else 0.0) for number in range(200)]
    kept = light_after([LUMA] * 200, lights)
    assert np.abs(kept[1] - lights[0]).max() < 0.01
    assert np.abs(kept[-1] - lights[-1]).max() < 0.005


def test_nothing_is_kept_behind_a_cut() -> None:
    other = np.full_like(LUMA, 128)
    lights = [LUMA / 400, LUMA / 400 + 0.1, other / 400]
    kept = light_after([LUMA, LUMA, other], lights)
    np.testing.assert_allclose(kept[2], lights[2], atol=1e-6)
    assert np.abs(kept[1] - lights[1]).max() > 0.05


def test_a_fade_is_not_held_back() -> None:
    """Neither is what moves: where the picture changes, the network is believed."""
    lumas = [LUMA + 2 * number for number in range(12)]
    lights = [luma / 400 for luma in lumas]
    kept = light_after(lumas, lights)
    np.testing.assert_allclose(kept, lights, atol=1e-6)
