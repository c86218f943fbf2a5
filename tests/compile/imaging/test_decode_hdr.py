"""The decoding formula: its landmarks, its inverse, its range."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from compile.imaging.decode_hdr import H_MAX, H_MIN, PEAK, decode_hdr, encode_hdr
from compile.imaging.metrics import psnr
from compile.imaging.transfer import pq_decode, pq_encode, srgb_decode, srgb_encode

light = arrays(
    np.float32, array_shapes(max_dims=4, max_side=7), elements=st.floats(0, 16, width=32)
)


def test_landmarks() -> None:
    assert pytest.approx(0.2689414, abs=1e-7) == H_MIN
    assert pytest.approx(0.8807971, abs=1e-7) == H_MAX
    ends = decode_hdr(np.array([0, H_MIN, (H_MIN + H_MAX) / 2, H_MAX, 1], np.float32))
    middle = 16 * (math.sqrt(5001) - 1) / 5000
    np.testing.assert_allclose(ends, [0, 0, middle, 16, 16], rtol=2e-6, atol=1e-6)
    white = (math.log(1 + 5000 / 16) / math.log(5001)) * (H_MAX - H_MIN) + H_MIN
    assert decode_hdr(np.float32(white)) == pytest.approx(1, rel=5e-6)


@given(light)
def test_round_trip(linear: np.ndarray) -> None:
    encoded = encode_hdr(linear)
    assert encoded.dtype == np.float32 and encoded.shape == linear.shape
    decoded = decode_hdr(encoded)
    assert decoded.dtype == np.float32
    # One float32 step of H is 6e-8, and dL/dH = 13.9 (L + 0.0032).
    np.testing.assert_allclose(decoded, linear, rtol=5e-6, atol=1e-8)


@given(arrays(np.float32, 20, elements=st.floats(-1, 2, width=32)))
def test_monotonic_and_bounded(output: np.ndarray) -> None:
    decoded = decode_hdr(np.sort(output))
    assert (np.diff(decoded) >= 0).all()
    assert decoded.min() >= 0 and decoded.max() <= PEAK * (1 + 1e-6)


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
