"""The virtual camera and the pairs that it makes."""

from __future__ import annotations

import numpy as np
import pytest

from compile.imaging.decode_hdr import PEAK, decode_hdr, inverse_mu_law, mu_law, srgb_curve
from compile.imaging.transfer import srgb_decode
from compile.training.pairs import as_batch, fixed_pairs, random_pair, take_plainly
from compile.training.scenes.views import Panorama
from compile.training.tone_curve import fit_tone_curve
from compile.training.virtual_camera import expose, photograph

RAMP = np.repeat(np.linspace(0, 4, 256, dtype=np.float32)[None, :, None], 3, -1).repeat(32, 0)


@pytest.fixture(scope="module")
def panorama() -> Panorama:
    random = np.random.default_rng(0)
    return Panorama(random.lognormal(0, 1.5, (64, 128, 3)).astype(np.float32))


@pytest.mark.parametrize("seed", range(12))
def test_a_photograph_rises_with_the_light_and_clips_at_one(seed: int):
    """Whatever the response curve: noise and JPEG average out over the ramp's rows."""
    photo = photograph(RAMP, np.random.default_rng(seed))
    assert photo.dtype == np.uint8 and photo.shape == RAMP.shape
    columns = photo.mean((0, 2))
    clipped = RAMP[0, :, 0] > 1.1
    assert columns[clipped].min() > 250
    # Blocks of JPEG straddle the ramp, so look at steps that are wider than they are.
    assert np.all(np.diff(columns[~clipped][::16]) > 0)
    assert columns[0] < 12


def test_response_curves_differ():
    photos = [photograph(RAMP, np.random.default_rng(seed)).mean((0, 2)) for seed in range(40)]
    middle = np.array([columns[20] for columns in photos])
    assert middle.max() - middle.min() > 20


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e4])
def test_exposure_does_not_depend_on_the_unit(unit: float):
    light = np.random.default_rng(0).lognormal(0, 2, (64, 64, 3)).astype(np.float32)
    relative = expose(light, np.random.default_rng(1))
    same = expose(light * np.float32(unit), np.random.default_rng(1))
    np.testing.assert_allclose(same, relative, rtol=0.02)
    assert relative.max() <= PEAK
    assert 0 < (relative > 1).mean() < 0.5


def test_a_black_picture_is_no_error():
    black = np.zeros((32, 32, 3), np.float32)
    for seed in range(4):
        random = np.random.default_rng(seed)
        assert not expose(black, random).any()
        assert photograph(black, random).max() < 40


def test_targets_are_the_light_of_the_photograph(panorama: Panorama):
    photo, light = random_pair(panorama, 48, np.random.default_rng(0))
    photos, targets = as_batch([(photo, light)])
    assert targets.shape == photos.shape == (1, 3, 48, 48)
    assert targets.min() >= 0 and targets.max() <= 1
    decoded = inverse_mu_law(targets[0].permute(1, 2, 0).numpy())
    np.testing.assert_allclose(decoded, light, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal((photos[0].permute(1, 2, 0) * 255).round().numpy(), photo)


def test_pairs_follow_their_seed(panorama: Panorama):
    fixed = [fixed_pairs([panorama, panorama], 32, 2, 5) for _ in range(2)]
    assert len(fixed[0]) == 4
    for (photo, light), (same_photo, same_light) in zip(*fixed, strict=True):
        np.testing.assert_array_equal(photo, same_photo)
        np.testing.assert_array_equal(light, same_light)


def test_a_plain_camera_is_undone_by_the_inverse_of_its_curve(panorama: Panorama):
    photo, light = random_pair(panorama, 48, np.random.default_rng(3), take_plainly)
    known = light < 0.98
    assert 0.2 < known.mean() < 1
    assert np.abs(mu_law(srgb_decode(photo / 255)) - mu_law(light))[known].max() < 0.05
    np.testing.assert_allclose(
        decode_hdr(srgb_curve()), srgb_decode(np.arange(256) / 255), rtol=1e-3, atol=1e-6
    )


def test_tone_curve_is_the_mean_of_what_a_value_stands_for():
    photo = np.array([[[10, 10, 10], [20, 20, 20], [20, 20, 20]]], np.uint8)
    light = np.array([[[0.1] * 3, [0.5] * 3, [2.0] * 3]], np.float32)
    curve = fit_tone_curve([(photo, light)])
    targets = mu_law(light)[0, :, 0]
    assert curve.shape == (256,) and np.all(np.diff(curve) >= 0)
    found = mu_law(curve)
    np.testing.assert_allclose(found[10], targets[0], rtol=1e-5)
    np.testing.assert_allclose(found[20], (targets[1] + targets[2]) / 2, rtol=1e-5)
    np.testing.assert_allclose(found[15], (found[10] + found[20]) / 2, rtol=1e-5)
    assert curve[255] == curve[20]
