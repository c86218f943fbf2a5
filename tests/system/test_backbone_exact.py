"""The compiled backbone against the NumPy run of the same quantized graph, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from lowered_backbones import ATTENTIONS, photo_crop, quantized_program, run_compiled
from numpy.typing import NDArray
from reference.backbone import run_backbone

from compile.imaging.bundled import bundled_photos

PHOTOS = bundled_photos("test")

#: Vector widths. The wider unit takes twice as long to compile.
both_units = pytest.mark.parametrize("bits", [256, pytest.param(512, marks=pytest.mark.slow)])
photos = pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
attentions = pytest.mark.parametrize("attention", ATTENTIONS)


@cache
def image_and_expected(
    attention: str, draw: Callable[[], NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """What ``draw`` gives, and NumPy's run of it, once for both vector widths."""
    image = draw()
    program = quantized_program(attention, image.shape[1], image.shape[2])
    expected = run_backbone(program, image).output
    assert len(np.unique(expected)) > 32, "so flat a result would prove nothing"
    return image, expected


def check_equal(attention: str, draw: Callable[[], NDArray[np.uint8]], bits: int) -> None:
    image, expected = image_and_expected(attention, draw)
    np.testing.assert_array_equal(run_compiled(attention, image, bits), expected)


@cache
def crop_of(photo: Path, height: int, width: int) -> Callable[[], NDArray[np.uint8]]:
    """The same one for the same photograph and size."""
    return partial(photo_crop, photo, height, width)


def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)


def chessboard() -> NDArray[np.uint8]:
    return np.where(noise() < 128, np.uint8(0), np.uint8(255))


@both_units
@photos
@attentions
def test_small(attention: str, photo: Path, bits: int) -> None:
    check_equal(attention, crop_of(photo, 64, 96), bits)


@both_units
@attentions
def test_extreme_pictures(attention: str, bits: int) -> None:
    """Noise and a chessboard of black and white reach what photographs do not: saturation."""
    check_equal(attention, noise, bits)
    check_equal(attention, chessboard, bits)


@pytest.mark.slow
@both_units
@photos
@attentions
def test_256(attention: str, photo: Path, bits: int) -> None:
    check_equal(attention, crop_of(photo, 256, 256), bits)
