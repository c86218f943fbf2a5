"""A photograph's curve by its histogram: what goes in, what comes out, and that it is learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from bench.quality import fit_histogram_curve
from bench.quality.histogram_curve import (
    FEATURES,
    apply_histogram_curve,
    histogram_features,
    plain_curve,
)
from bench.quality.tone_mappers import linearize
from bench.quality.train_histogram_curve import Pictures, decibels, train_histogram_curve
from compile.imaging.bundled import bundled_photos
from compile.imaging.decode_hdr import mu_law
from compile.imaging.metrics import psnr
from compile.imaging.read_photo import read_photo
from compile.imaging.transfer import srgb_decode
from compile.support.errors import MqnetError
from compile.training.flat.film_curves import FILM_CURVES
from compile.training.held_out import held_out_pairs
from compile.training.scenes.views import Panorama
from tests.support.little_scenes import write_little_scenes


def test_features_of_a_picture_of_one_colour() -> None:
    photo = np.full((5, 7, 3), [255, 1, 9], np.uint8)
    features = histogram_features(photo) ** 2
    assert features.shape == (FEATURES,)
    planes = features[:320].reshape(5, 64)
    np.testing.assert_array_equal(planes.argmax(1), [63, 0, 2, 63, 0])
    np.testing.assert_allclose(planes.sum(1), 1)
    np.testing.assert_allclose(features[320:], [1 / 3, 1 / 3, 0, 1 / 3], rtol=1e-6)


@pytest.mark.parametrize("photo", bundled_photos("test"), ids=lambda path: path.stem)
def test_curve_is_one_and_rises(photo: Path) -> None:
    pixels = read_photo(photo)
    light = apply_histogram_curve(pixels)
    assert light.shape == pixels.shape and light.dtype == np.float32
    assert light.min() >= 0 and light.max() <= 16.001
    values, first = np.unique(pixels, return_index=True)
    assert (np.diff(light.ravel()[first]) >= 0).all()
    np.testing.assert_array_equal(light, light.ravel()[first][np.searchsorted(values, pixels)])


def test_film_is_told() -> None:
    """Held-out light through a curve that is in no training."""
    gains = []
    for _, light in list(held_out_pairs().values())[::2]:
        planes = torch.from_numpy(light).permute(2, 0, 1)
        shown = FILM_CURVES["aces"](planes).clamp(0, 1).permute(1, 2, 0).numpy()
        photo = np.rint(shown * 255).astype(np.uint8)
        told, plain = (
            psnr(mu_law(way(photo)), mu_law(light)) for way in (apply_histogram_curve, linearize)
        )
        gains.append(told - plain)
    assert np.mean(gains) > 2


def test_it_learns() -> None:
    photos = [read_photo(path)[:256, :512] for path in bundled_photos("calibration")[:2]]
    places = [Panorama(srgb_decode(photo / 255).astype(np.float32)) for photo in photos]
    seen = []
    pictures, again = (
        Pictures.random(places, 45, seed=3, advance=lambda: seen.append(1)) for _ in range(2)
    )
    assert len(seen) == 90 and torch.equal(pictures.features, again.features)
    torch.testing.assert_close(pictures.shares.sum(1), torch.ones(45))
    plain = torch.from_numpy(plain_curve().reshape(64, 4).mean(1)).expand(45, 64)
    assert (pictures.square(pictures.wanted) <= pictures.square(plain)).all()
    net = train_histogram_curve(pictures, 40, lambda: None)
    before, told, best = decibels(net, pictures)
    assert before + 0.5 < told < best


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "curve.safetensors"
    options = fit_histogram_curve.Options(write_little_scenes(tmp_path), 20, 1, out)
    fit_histogram_curve._fit(options)
    assert capsys.readouterr().out.count("dB") == 2
    found, own = load_file(out), load_file(fit_histogram_curve.Options().out)
    assert {name: one.shape for name, one in found.items()} == {
        name: one.shape for name, one in own.items()
    }
    with pytest.raises(MqnetError, match="epochs 0"):
        fit_histogram_curve._fit(fit_histogram_curve.Options(tmp_path, 20, 0, out))
