"""Ranges out of histograms: what is left out, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from compile.quantize.choose_range import choose_range, divergence, percentile_range, squared_error
from compile.quantize.observers import FastHistogramObserver, RangeObserver
from compile.quantize.schemes import Calibration

BINS = 2048


def histogram(values: np.ndarray) -> np.ndarray:
    return np.histogram(values, BINS)[0].astype(np.float64)


def heavy_tailed(count: int = 100_000) -> np.ndarray:
    return np.random.default_rng(0).standard_t(2, count)


def test_percentile_leaves_half_out_on_either_side() -> None:
    counts = np.full(1000, 10.0)
    assert percentile_range(counts, 100) == (0, 1000)
    assert percentile_range(counts, 99) == (5, 995)
    # Of what is rectified half of all is 0, which stays.
    counts[0] = 10_000
    assert percentile_range(counts, 99) == (0, 991)
    lone = np.zeros(1000)
    lone[123] = 5
    assert percentile_range(lone, 51) == (123, 124)


def test_squared_error_is_that_of_rounding() -> None:
    """Against values that are rounded one by one."""
    values = np.random.default_rng(1).normal(0, 1, 50_000)
    counts, edges = np.histogram(values, BINS)
    start, end = 300, 1800
    width = edges[1] - edges[0]
    low, high = edges[start], edges[end]
    step = (high - low) / 255
    rounded = np.clip(np.rint((values - low) / step), 0, 255) * step + low
    error = squared_error(counts.astype(np.float64), start, end) * width**2
    assert error == pytest.approx(np.square(values - rounded).sum(), rel=0.05)


def test_divergence_is_kullback_and_leiblers() -> None:
    counts = np.random.default_rng(2).integers(0, 50, 1024).astype(np.float64)
    start, end = 100, 100 + 512
    wanted = counts[start:end].copy()
    wanted[0] += counts[:start].sum()
    wanted[-1] += counts[end:].sum()
    found = np.zeros(512)
    for level in range(256):  # Two bins each.
        pair = counts[start + 2 * level : start + 2 * level + 2]
        if (there := pair > 0).any():
            found[2 * level : 2 * level + 2][there] = pair.sum() / there.sum()
    # An end that holds only what is outside has nothing to stand for it.
    found = np.maximum(found / found.sum(), 1e-12)
    expected = float(np.sum(np.where(wanted > 0, entropy_terms(wanted / wanted.sum(), found), 0)))
    assert divergence(counts, start, end) == pytest.approx(expected, rel=1e-6)
    same = np.ones(512)
    assert divergence(same, 0, 512) == pytest.approx(entropy(same, same), abs=1e-12)


def entropy_terms(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    return wanted * np.log(np.maximum(wanted, 1e-300) / found)


def test_zeros_do_not_count_for_divergence() -> None:
    """They are exact in any range: a million more change nothing."""
    counts = histogram(np.abs(heavy_tailed()))
    entropic = Calibration("entropy")
    expected = choose_range(counts, entropic, 0)
    counts[0] += 1e6
    assert choose_range(counts, entropic, 0) == expected


@pytest.mark.parametrize("method", ["mse", "entropy"])
def test_a_heavy_tail_is_cut_and_a_flat_histogram_is_not(method: str) -> None:
    calibration = Calibration(method)  # type: ignore[arg-type]
    start, end = choose_range(np.ones(BINS), calibration)
    assert end - start > 0.99 * BINS
    counts = histogram(heavy_tailed())
    start, end = choose_range(counts, calibration)
    assert 0 < start < end < BINS
    assert counts[start:end].sum() > 0.95 * counts.sum()


def test_squared_error_is_no_larger_than_torchaos() -> None:
    for values in (heavy_tailed(), np.maximum(heavy_tailed(), 0), np.exp(heavy_tailed() / 9)):
        theirs = FastHistogramObserver(dtype=torch.int8)
        theirs(torch.from_numpy(values.astype(np.float32)))
        counts = theirs.histogram.numpy().astype(np.float64)
        width = float((theirs.max_val - theirs.min_val) / BINS)
        low, high = (float(one) for one in theirs._non_linear_param_search())
        start, end = (round((one - float(theirs.min_val)) / width) for one in (low, high))
        chosen = choose_range(counts, Calibration("mse"))
        # Torchao goes bin by bin, this over 48 ends: they may be a bin apart.
        assert squared_error(counts, *chosen) <= 1.001 * squared_error(counts, start, end)


def test_observer_gives_the_chosen_range() -> None:
    calibration = Calibration("percentile", 99)
    observer = RangeObserver(calibration, dtype=torch.int8, quant_min=-128, quant_max=127)
    values = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)
    for some in np.split(values, 4):
        observer(torch.from_numpy(some))
    scale, _ = observer.calculate_qparams()
    assert float(scale) * 255 == pytest.approx(2 * 2.5758, rel=0.02)
