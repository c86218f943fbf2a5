"""The metrics by known values and against other implementations."""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bench.quality.jod import GaussianBlur
from bench.quality.quality_metrics import METRICS, delta_e_itp, mu_psnr, pq_psnr, pu21, pu_psnr
from compile.imaging.decode_hdr import PEAK, mu_law
from compile.imaging.transfer import pq_encode
from compile.training.held_out import held_out_pairs


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return held_out_pairs()["forest-2"][1]


def test_the_same_picture_is_perfect(truth: np.ndarray):
    perfect = {name: metric.measure(truth, truth) for name, metric in METRICS.items()}
    expected = dict.fromkeys(("mu_psnr_db", "pu_psnr_db", "pq_psnr_db"), math.inf)
    expected |= {"pu_ssim": 1, "delta_e_itp": 0, "jod": 10, "flip": 0}
    if find_spec("flip_evaluator") is None:
        del expected["flip"]
    assert perfect == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_worse_is_worse(truth: np.ndarray, name: str):
    """Half a stop too dark, then two stops, then with the highlights clipped as well."""
    metric = METRICS[name]
    pictures = [truth * 0.7, truth * 0.25, np.minimum(truth, 0.5) * 0.25]
    scores = [metric.measure(picture.astype(np.float32), truth) for picture in pictures]
    better = scores if metric.higher_is_better else [-score for score in scores]
    assert better == sorted(better, reverse=True) and len(set(scores)) == 3, scores


def test_mu_law_by_hand():
    light = np.array([0, PEAK / 5000, PEAK], np.float32)
    np.testing.assert_allclose(mu_law(light), [0, math.log(2) / math.log(5001), 1], atol=1e-6)
    a, b = (np.full((8, 8, 3), value, np.float32) for value in (0, PEAK / 5000))
    assert mu_psnr(a, b) == pytest.approx(-20 * math.log10(math.log(2) / math.log(5001)), abs=1e-4)


def test_pu21_is_256_at_the_white_of_a_dim_display_and_rises():
    """Its authors chose it so that 0.005 cd/m2 is 0 and 100 cd/m2 is 256 (their section 3)."""
    assert pu21(np.array(100.0)) == pytest.approx(256, abs=1)
    assert pu21(np.array(0.005)) == pytest.approx(0, abs=0.1)
    assert np.all(np.diff(pu21(np.geomspace(0.005, 10_000, 500))) > 0)
    assert pu21(np.array(1e6)) == pu21(np.array(1e4))


def test_pu_psnr_by_hand():
    dim, bright = (np.full((4, 4, 3), nits / 203, np.float32) for nits in (50, 100))
    error = pu21(np.array(100.0)) - pu21(np.array(50.0))
    assert pu_psnr(dim, bright) == pytest.approx(20 * math.log10(256 / error), abs=1e-3)


def test_pq_psnr_and_delta_e_itp_by_hand():
    """Of greys L, M and S are one number: delta E ITP is 720 times the difference of their PQ."""
    dim, bright = (np.full((4, 4, 3), nits / 203, np.float32) for nits in (50, 100))
    difference = float(pq_encode(np.array(100.0)) - pq_encode(np.array(50.0)))
    assert pq_psnr(dim, bright) == pytest.approx(-20 * math.log10(difference), abs=1e-3)
    assert delta_e_itp(dim, bright) == pytest.approx(720 * difference, rel=1e-3)


def test_delta_e_itp_of_a_colour():
    """BT.2100's matrices written out, of one orange beside one blue."""
    orange, blue = (np.array([[light]], np.float32) for light in ([0.8, 0.3, 0.1], [0.1, 0.2, 0.9]))
    to_2020 = np.array(
        [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    )
    to_lms = np.array([[1688, 2146, 262], [683, 2951, 462], [99, 309, 3688]]) / 4096
    to_itp = np.array([[2048, 2048, 0], [6610, -13613, 7003], [17933, -17390, -543]]) / 4096
    itp = [
        to_itp @ pq_encode(to_lms @ to_2020 @ light[0, 0] * 203) * (1, 0.5, 1)
        for light in (orange, blue)
    ]
    expected = 720 * np.sqrt(np.sum((itp[0] - itp[1]) ** 2))
    assert delta_e_itp(orange, blue) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(("kernel", "sigma"), [(13, 3.0), (5, 0.8)])
def test_the_stand_in_blurs_like_scipy(kernel: int, sigma: float):
    picture = np.random.default_rng(0).random((2, 3, 40, 37), np.float32)
    blurred = GaussianBlur(kernel, sigma)(torch.from_numpy(picture)).numpy()
    radius = kernel // 2
    expected = gaussian_filter(picture, sigma, axes=(2, 3), mode="mirror", radius=radius)
    np.testing.assert_allclose(blurred, expected, atol=1e-6)
