"""Errors of tensors, by cases that can be computed by hand."""

from __future__ import annotations

import json
from math import inf

import numpy as np
import pytest

from device.client.layers.tensor_errors import compare_tensors


def test_errors():
    found = compare_tensors(np.array([3.0, 4.0, 0.5]), np.array([3.0, 4.0, 0.0]))
    assert found.sqnr == pytest.approx(10 * np.log10(25 / 0.25))
    assert found.psnr == pytest.approx(10 * np.log10(4**2 / (0.25 / 3)))
    assert found.cosine == pytest.approx(25 / (5 * np.sqrt(25.25)))
    assert found.largest == 0.5


def test_what_is_the_same_can_be_written():
    found = compare_tensors(np.array([1, 2], np.int8), np.array([1, 2], np.int8))
    assert (found.sqnr, found.psnr, found.largest) == (inf, inf, 0)
    assert found.cosine == pytest.approx(1)
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["sqnr"] is None


def test_zeros():
    """A tensor of zeros has no direction and no energy."""
    zeros = np.zeros(3)
    assert compare_tensors(zeros, zeros).cosine == 1
    found = compare_tensors(np.ones(3), zeros)
    assert found.sqnr < -200 and found.cosine == 0 and found.largest == 1
