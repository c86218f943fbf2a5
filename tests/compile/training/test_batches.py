"""Batches to train on: lights, cameras and what is made of scenes by them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from compile.imaging.decode_hdr import inverse_mu_law
from compile.imaging.transfer import srgb_encode
from compile.training import batches, lights
from compile.training.batches import random_batch
from compile.training.cameras import MEASURED, cameras, random_camera
from compile.training.response_curves import CURVES, MIDDLE_GREY, encode_srgb
from compile.training.scenes.views import Panorama

RAMP = torch.linspace(0, 4, 1025).expand(3, 16, 1025)
DRAWN = [camera for camera in cameras() if camera.curve != MEASURED]


@pytest.fixture(scope="module")
def places() -> list[Panorama]:
    """A red one and a blue one."""
    return [
        Panorama(np.full((64, 128, 3), 1e-3, np.float32) + np.float32(light)[None, None])
        for light in ([1, 0, 0], [0, 0, 1])
    ]


def test_shares_add_up_and_most_photographs_have_the_plain_curve():
    assert sum(camera.share for camera in cameras()) == pytest.approx(1)
    measured = sum(camera.share for camera in cameras() if camera.curve == MEASURED)
    plain = sum(camera.share for camera in cameras() if camera.curve == "srgb")
    assert plain + 0.4 * measured == pytest.approx(0.56)
    assert [c.name for c in cameras() if c.plain] == ["plain"]
    random = np.random.default_rng(0)
    drawn = Counter(random_camera(random).name for _ in range(400))
    assert set(drawn) == {camera.name for camera in cameras()}


@pytest.mark.parametrize("camera", DRAWN, ids=lambda camera: camera.name)
@pytest.mark.parametrize("seed", range(3))
def test_curves_rise_to_white_and_keep_middle_grey(camera, seed: int):
    random = np.random.default_rng(seed)
    values = {name: random.uniform(*limits) for name, limits in camera.parameters.items()}
    curve = CURVES[camera.curve](RAMP[0, 0], **values)
    assert curve[0] < 1e-3 and curve.diff().min() >= 0 and curve[-1] > 0.8
    middle = CURVES[camera.curve](torch.tensor([MIDDLE_GREY]), **values)
    if camera.curve != "power":
        torch.testing.assert_close(
            middle, encode_srgb(torch.tensor([MIDDLE_GREY])), atol=2e-3, rtol=0
        )
    bright = CURVES[camera.curve](torch.tensor([200.0]), **values)
    assert bright.clamp(0, 1) * 255 > 254.5


@pytest.mark.parametrize("camera", cameras(), ids=lambda camera: camera.name)
def test_photographs_are_bytes_of_rising_light(camera):
    photo = camera.take(RAMP, np.random.default_rng(1))
    assert photo.shape == RAMP.shape and photo.dtype == torch.float32
    torch.testing.assert_close(photo * 255, (photo * 255).round())
    columns = photo.mean((0, 1))
    assert columns[:1024].reshape(32, 32).mean(1).diff().min() > -2e-3
    assert columns[0] < 0.06 and columns[-16:].mean() > 0.8
    if camera.plain:
        wanted = np.rint(srgb_encode(RAMP.numpy()) * 255)
        np.testing.assert_array_equal((photo * 255).round().numpy(), wanted)


def test_some_scenes_have_another_contrast(monkeypatch: pytest.MonkeyPatch):
    for share in ("_SHARE_OF_REFLECTIONS", "_SHARE_OF_LIGHTS"):
        monkeypatch.setattr(batches, share, 0)
    light = np.full((64, 128, 3), 0.1, np.float32)
    light[:, 40:90] = 1
    batch = random_batch([Panorama(light)], 32, 40, (3,))
    green = inverse_mu_law(batch.targets[:, 1].numpy()).reshape(40, -1)
    whole = green[(green.max(1) < 15) & (green.max(1) > 2 * green.min(1))]
    contrast = np.log10(whole.max(1) / whole.min(1))
    assert contrast.max() < 1.55
    as_it_is = np.abs(contrast - 1) < 1e-2
    assert 0.5 < as_it_is.mean() < 0.9
    assert (contrast > 1.2).any()


@pytest.mark.parametrize("kind", [lights.draw_sun, lights.draw_lamp, lights.draw_reflections])
def test_lights_add_light_and_fall_off(kind):
    dark = torch.full((3, 48, 64), 0.1)
    ticks = (torch.arange(n, dtype=torch.float32) for n in (48, 64))
    canvas = lights.Canvas(*torch.meshgrid(*ticks, indexing="ij"))
    peaks = []
    for seed in range(20):
        light = kind(dark, canvas, np.random.default_rng(seed))
        assert light.shape == dark.shape and light.isfinite().all() and light.min() >= 0.1
        peaks.append(float(light.max()))
    assert max(peaks) > 30 and np.ptp(np.log(peaks)) > 1


def test_a_sun_is_round_and_falls_from_its_middle():
    ticks = torch.arange(65, dtype=torch.float32)
    canvas = lights.Canvas(*torch.meshgrid(ticks, ticks, indexing="ij"))
    for seed in range(6):
        light = lights.draw_sun(torch.zeros(3, 65, 65), canvas, np.random.default_rng(seed))
        green = light[1]
        row, column = divmod(int(green.argmax()), 65)
        if 20 < row < 45 and 20 < column < 45:
            steps = green[row, column:].diff()
            assert (steps <= 1e-3 * green.max()).float().mean() > 0.9
    assert lights.add_lights(torch.zeros(3, 33, 65), np.random.default_rng(0)).max() > 1


def test_batches_follow_their_seed_and_show_what_is_asked_for(places: list[Panorama]):
    first, again, other = (
        random_batch(places, 32, 3, seed) for seed in ((0, 7, 1), (0, 7, 1), (0, 8, 1))
    )
    assert first.photos.equal(again.photos) and first.targets.equal(again.targets)
    assert not first.photos.equal(other.photos)
    assert first.photos.shape == first.targets.shape == (3, 3, 32, 32)
    assert first.trust.shape == (3, 1, 32, 32) and first.plain.shape == (3,)
    assert first.targets.min() >= 0 and first.targets.max() <= 1
    batch = random_batch(places, 16, 200, (3,))
    assert 30 < batch.plain.sum() < 90
    plain = batch.plain.nonzero()[:, 0]
    light = inverse_mu_law(batch.targets[plain].numpy())
    assert np.abs(srgb_encode(light) - batch.photos[plain].numpy()).max() < 0.6 / 255
    colours = batch.targets.mean((2, 3)).argmax(1)
    assert set(colours.tolist()) == {0, 1, 2}
