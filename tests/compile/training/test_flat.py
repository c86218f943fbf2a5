"""The second test set: which pictures it is made of, by which cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from compile.imaging.transfer import srgb_encode
from compile.support.errors import DataError
from compile.training.cameras import cameras
from compile.training.flat import flat_pairs, photograph_of
from compile.training.flat.film_curves import FILM_CURVES
from compile.training.response_curves import MIDDLE_GREY, encode_srgb
from compile.training.scenes.catalogue import FLAT_TEST, catalogue
from compile.training.scenes.write_exr import write_exr

NAMES = [scene.name for scene in catalogue() if scene.role == FLAT_TEST]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-ins for the photographs: noise between 0.1 and 10, upright or across."""
    folder = tmp_path_factory.mktemp("flat")
    for seed, name in enumerate(NAMES):
        random = np.random.default_rng(seed)
        light = 10 ** random.uniform(-1, 1, (48, 64, 3) if seed % 2 else (64, 48, 3))
        write_exr(folder / f"{name}.exr", light.astype(np.float32))
    return folder


@pytest.mark.parametrize("name", FILM_CURVES)
def test_film_curves_rise_keep_middle_grey_and_are_no_training_cameras(name: str):
    light = torch.linspace(0, 20, 2001)
    value = FILM_CURVES[name](light)
    assert value[0] < 0.02 and value.diff().min() > -1e-6 and value[-1] > 0.995
    # What is white in plain sRGB is none yet.
    assert value[100] < 0.95
    middle = torch.tensor([MIDDLE_GREY])
    torch.testing.assert_close(FILM_CURVES[name](middle), encode_srgb(middle), atol=1e-3, rtol=0)
    assert name not in {camera.curve for camera in cameras()}


def test_every_photograph_by_every_camera_in_every_exposure(folder: Path):
    pairs = flat_pairs(folder, 32)
    assert len(pairs) == 150
    assert list(dict.fromkeys(photograph_of(name) for name in pairs)) == NAMES
    assert sum(name.endswith("JPEG") for name in pairs) == 75
    for name in ("tree: AgX -2", "tree: sRGB +0 JPEG", "garden: Hable +2"):
        assert name in pairs or name.removesuffix(" JPEG") in pairs or f"{name} JPEG" in pairs
    for photo, light in pairs.values():
        assert photo.shape == light.shape == (32, 32, 3)
        assert photo.dtype == np.uint8 and light.dtype == np.float32 and light.max() <= 16


def test_a_plain_picture_is_its_light(folder: Path):
    pairs = flat_pairs(folder, 32)
    photo, light = next(pair for name, pair in pairs.items() if name.endswith("sRGB -2"))
    np.testing.assert_array_equal(photo, np.rint(srgb_encode(light) * 255))
    assert 0.2 < light.max() < 1
    photo, light = next(pair for name, pair in pairs.items() if name.endswith("AgX +0"))
    assert photo[light > 1].min() < 250


def test_a_photograph_that_is_not_there(tmp_path: Path):
    with pytest.raises(DataError, match=r"holds no banana_flower\.exr: fetch it with"):
        flat_pairs(tmp_path, 32)
