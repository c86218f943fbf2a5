"""The decoding formula: its landmarks, its inverse, its range."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from compile.imaging.decode_hdr import H_MAX, PEAK, decode_hdr, decode_log2, srgb_curve
from compile.imaging.metrics import psnr
from compile.imaging.transfer import pq_decode, pq_encode, srgb_decode, srgb_encode
from tests.support.encode_hdr import encode_hdr

light = arrays(
    np.float32, array_shapes(max_dims=4, max_side=7), elements=st.floats(0, 16, width=32)
)


def test_landmarks() -> None:
    assert pytest.approx(0.8807971, abs=1e-7) == H_MAX
    ends = decode_hdr(np.array([0, 0.2689414, 0.5, H_MAX, 1], np.float32))
    np.testing.assert_allclose(ends, [0, 0, 0, 16, 16], atol=1e-6)
    assert decode_hdr(np.float32(1 / (1 + math.exp(-1)))) == pytest.approx(1, rel=2e-6)
    stop = (math.sqrt((2.4 / 1.055) ** 2 + 3.6 * math.log(2)) - 2.4 / 1.055) / 1.8
    assert decode_hdr(np.float32(1 / (1 + math.exp(-1 - stop)))) == pytest.approx(2, rel=2e-6)


def test_a_head_that_adds_nothing_undoes_srgb() -> None:
    values = np.arange(256) / 255
    np.testing.assert_allclose(decode_hdr(srgb_curve()), srgb_decode(values), atol=4e-7)
    np.testing.assert_allclose(srgb_curve(), encode_hdr(srgb_decode(values)), atol=1e-7)


def test_there_is_no_edge_at_white() -> None:
    z = 1 + np.array([-2e-3, -1e-3, 1e-3, 2e-3])
    light = np.log(decode_hdr((1 / (1 + np.exp(-z))).astype(np.float32)))
    below, above = light[1] - light[0], light[3] - light[2]
    assert above == pytest.approx(below, rel=5e-3)


@given(light)
def test_round_trip(linear: np.ndarray) -> None:
    encoded = encode_hdr(linear)
    assert encoded.dtype == np.float32 and encoded.shape == linear.shape
    decoded = decode_hdr(encoded)
    assert decoded.dtype == np.float32
    # One float32 step of H is 6e-8; dz/dH is below 9, and dL/dz below 4 L + 0.08.
    np.testing.assert_allclose(decoded, linear, rtol=5e-6, atol=5e-8)


@given(arrays(np.float32, 20, elements=st.floats(-1, 2, width=32)))
def test_monotonic_and_bounded(output: np.ndarray) -> None:
    decoded = decode_hdr(np.sort(output))
    assert (np.diff(decoded) >= 0).all()
    assert decoded.min() >= 0 and decoded.max() <= PEAK * (1 + 1e-6)


def test_what_is_not_a_number_stays_so() -> None:
    np.testing.assert_array_equal(np.isnan(decode_hdr(np.float32([0.6, np.nan]))), [False, True])


@given(arrays(np.float32, 20, elements=st.floats(0, 1, width=32)))
def test_logarithm_of_the_light(output: np.ndarray) -> None:
    exact = np.log2(decode_hdr(output) + 1 / 64)
    np.testing.assert_allclose(decode_log2(output, 1 / 64), exact, atol=2e-4)


def test_light_beyond_the_range_is_clipped() -> None:
    np.testing.assert_array_equal(encode_hdr(np.float32([-3, 99])), encode_hdr(np.float32([0, 16])))


def test_pq_landmarks() -> None:
    """SMPTE ST 2084 and ITU-R BT.2408, table 1: 203 cd/m2 is 58 % PQ; 100 cd/m2 is 50.8 %."""
    np.testing.assert_allclose(
        pq_encode(np.array([0, 100, 203, 1000, 10_000])), [0, 0.5081, 0.5807, 0.7518, 1], atol=1e-4
    )


@given(arrays(np.float64, 9, elements=st.floats(0, 10_000)))
def test_pq_round_trip(nits: np.ndarray) -> None:
    np.testing.assert_allclose(pq_decode(pq_encode(nits)), nits, rtol=1e-9, atol=1e-9)


def test_srgb_round_trip() -> None:
    codes = np.arange(256) / 255
    np.testing.assert_allclose(srgb_encode(srgb_decode(codes)), codes, atol=1e-6)


def test_psnr() -> None:
    a = np.zeros((5, 7), np.uint8)
    assert psnr(a, a) == math.inf
    assert psnr(a, a + 255, peak=255) == pytest.approx(0)
    assert psnr(np.full(9, 0.1), np.zeros(9)) == pytest.approx(20)
    with pytest.raises(ValueError, match="shapes"):
        psnr(a, a[:1])
