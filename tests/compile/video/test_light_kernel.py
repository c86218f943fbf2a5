"""The kernel that makes HDR10, against NumPy in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import scene

from compile.imaging.decode_hdr import WHITE_NITS
from compile.imaging.decode_picture import DECODERS
from compile.imaging.gamuts import BT709_TO_BT2020
from compile.imaging.transfer import pq_encode
from compile.video.light_converter import LightConverter
from compile.video.light_kernel import sdr_luma
from compile.video.steady_light import Correction, no_correction

RANDOM = np.random.default_rng(0)
WEIGHTS = np.array([0.2627, 0.6780, 0.0593])


def expected(light: NDArray, size: tuple[int, int]) -> tuple[list[NDArray], NDArray]:
    """Y, Cb and Cr before they are rounded, by ITU-R BT.2020, and pixels' brightest channel."""
    height, width = size
    nits = np.maximum(light.astype(np.float64) @ BT709_TO_BT2020.T, 0) * WHITE_NITS
    pq = pq_encode(nits)
    luma = pq @ WEIGHTS
    planes = [64 + 876 * luma]
    for channel, span in ((2, 1.8814), (0, 1.4746)):
        tint = np.pad((pq[..., channel] - luma) / span, ((0, height % 2), (1, 1)), "edge")
        rows = (tint[::2] + tint[1::2]) / 2
        planes.append(512 + 896 * (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:])[:, ::2] / 4)
    return planes, nits.max(axis=-1)


@pytest.mark.parametrize(
    ("size", "decoding", "low", "high"),
    [
        ((32, 48), "extended_srgb", 0.2, 0.95),
        ((31, 49), "extended_srgb", 0.2, 0.95),
        ((9, 5), "srgb", 0, 1.1),
        ((9, 6), "linear", 0, 20),
    ],
    ids=str,
)
def test_frames_are_those_of_the_formulas(
    size: tuple[int, int], decoding: str, low: float, high: float
) -> None:
    output = RANDOM.uniform(low, high, (*size, 3)).astype(np.float32)
    converter = LightConverter(size, decoding, BT709_TO_BT2020)
    frame = converter.convert(output, scene(*size))
    inside = np.clip(output, 0, 1) if decoding == "srgb" else output
    planes, brightest = expected(DECODERS[decoding](inside), size)
    at = 0
    for plane in planes:
        codes = frame.planes[at : at + plane.size].reshape(plane.shape)
        # Half a code is rounding.
        np.testing.assert_allclose(codes, plane, atol=0.6)
        at += plane.size
    assert at == frame.planes.size
    rows = np.stack([brightest.max(1), brightest.min(1), brightest.mean(1)], axis=1)
    np.testing.assert_allclose(frame.levels, rows, rtol=1e-4, atol=1e-3)


def test_black_and_white_are_the_codes_of_bt2020() -> None:
    converter = LightConverter((16, 16), "linear", np.eye(3))
    for light, luma in ((0.0, 64), (10000 / WHITE_NITS, 940)):
        output = np.full((16, 16, 3), light, np.float32)
        frame = converter.convert(output, scene(16, 16))
        assert set(frame.planes[:256]) == {luma} and set(frame.planes[256:]) == {512}


@pytest.mark.parametrize("size", [(48, 64), (37, 51)])
def test_a_correction_is_added_to_the_output(size: tuple[int, int]) -> None:
    output = RANDOM.uniform(0.3, 0.8, (*size, 3)).astype(np.float32)
    photo = scene(*size)
    shape = no_correction(size).cells.shape
    curve, cells = (RANDOM.uniform(-0.05, 0.05, one).astype(np.float32) for one in (256, shape))
    correction = Correction(curve, cells)
    own, plain = (
        LightConverter(size, "extended_srgb", BT709_TO_BT2020, one) for one in (True, False)
    )
    corrected = own.convert(output, photo, correction)
    before = plain.convert(output + correction.of(photo)[..., None], photo)
    # A sum of floats in another order rounds to another code now and then.
    assert np.abs(corrected.planes.astype(int) - before.planes).max() <= 1
    np.testing.assert_array_equal(
        own.convert(output, photo).planes, plain.convert(output, photo).planes
    )


@pytest.mark.parametrize("size", [(32, 48), (21, 35), (3, 5)])
def test_means_of_cells(size: tuple[int, int]) -> None:
    output = RANDOM.uniform(0.3, 0.8, (*size, 3)).astype(np.float32)
    photo = scene(*size)
    luma, light = LightConverter(size, "extended_srgb", BT709_TO_BT2020).cells(output, photo)
    for row, column in np.ndindex(luma.shape):
        cell = np.s_[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        np.testing.assert_allclose(luma[row, column], sdr_luma(photo[cell]).mean(), rtol=1e-5)
        np.testing.assert_allclose(light[row, column], output[cell].mean(), rtol=1e-5)
