"""The held-out pairs as they are bundled, the tone mappers on them, and the whole table once."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from scipy.stats import spearmanr

from bench.quality.evaluate import (
    Result,
    against_float32,
    evaluate_network,
    evaluate_tone_mappers,
    request_for,
)
from bench.quality.strips import draw_stops, draw_strips
from bench.quality.tone_mappers import TONE_MAPPERS
from compile import training
from compile.imaging.decode_hdr import inverse_mu_law, mu_law
from compile.support.progress import Progress
from compile.training.held_out import SIZE, held_out_pairs, tone_curve, write_held_out
from compile.training.scenes.catalogue import TEST, catalogue
from compile.training.scenes.views import Panorama

FOLDER = Path(training.__file__).parent / "held_out"


def test_every_pair_has_a_source_and_a_free_licence():
    sources = tomllib.loads((FOLDER / "sources.toml").read_text())
    pairs = held_out_pairs()
    files = {path.stem for path in FOLDER.iterdir() if path.suffix in (".png", ".exr")}
    assert set(sources) == set(pairs) == files
    assert len(pairs) == 24
    assert all("CC0" in entry["licence"] for entry in sources.values())
    held_out = {scene.name for scene in catalogue() if scene.role == TEST}
    assert {name.rsplit("-", 1)[0] for name in pairs} == held_out
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 12e6


def test_pairs_are_a_photograph_of_their_light():
    for name, (photo, light) in held_out_pairs().items():
        assert photo.shape == light.shape == (SIZE, SIZE, 3), name
        assert photo.dtype == np.uint8 and light.dtype == np.float32, name
        assert light.min() >= 0 and light.max() <= 16, name
        # What is brighter in the light is brighter in the photograph, but for noise.
        assert spearmanr(photo.ravel(), np.minimum(light, 1).ravel()).statistic > 0.9, name
        assert (light.max(-1) > 1).any(), f"{name} has nothing above white"


def test_tone_curve_rises_and_expands_highlights():
    curve = tone_curve()
    assert curve.shape == (256,) and np.all(np.diff(curve) >= 0)
    white = TONE_MAPPERS["tone-curve"](np.full((1, 1, 3), 255, np.uint8))
    assert 1.2 < white[0, 0, 0] < 8


def test_tone_mappers_in_their_order():
    pairs = list(held_out_pairs().values())[::12]
    results = {result.scheme: result for result in evaluate_tone_mappers(pairs)}
    scores = {name: np.mean(result.scores["mu_psnr_db"]) for name, result in results.items()}
    players = ["bt2446-a", "bt2446-c", "libplacebo"]
    by_all = ["srgb", "tone-curve", "histogram-curve", "akyuz", "kovaleski", *players]
    assert list(scores) == by_all
    assert set(sorted(scores, key=scores.get)[-2:]) == {"tone-curve", "histogram-curve"}
    assert results["tone-curve"].clipped_psnr_db > results["srgb"].clipped_psnr_db + 1
    for result in results.values():
        for light, (photo, _) in zip(result.lights, pairs, strict=True):
            assert light.shape == photo.shape and light.dtype == np.float32
            assert np.isfinite(light).all() and light.min() >= 0 and light.max() <= 16
    json.dumps([result.row() for result in results.values()])


def test_agreement_with_float32_by_hand():
    light = np.full((4, 4, 3), 0.5, np.float32)
    other = inverse_mu_law(mu_law(light) + 0.01)
    results = [
        Result("tvm", scheme, attention, None, [light, lights], {}, 0)
        for scheme, attention, lights in (
            ("fp32", "ca", light),
            ("fp32", "sa", other),
            ("mixed", "ca", other),
        )
    ]
    assert against_float32(results[2], results) == [np.inf, pytest.approx(40, abs=0.01)]
    assert against_float32(results[0], results) is None
    assert against_float32(results[2], results[1:]) is None


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["fp32", "mixed"])
def test_compiled_agrees_with_pytorch(scheme: str, tmp_path: Path):
    pairs = list(held_out_pairs().values())[::12]
    request = request_for(scheme, "ca", None, tmp_path / "artefact")
    pytorch, compiled = evaluate_network(request, pairs, Progress(Console(quiet=True)))
    assert (pytorch.engine, compiled.engine) == ("pytorch", "tvm")
    rows = [pytorch.row(), compiled.row()]
    assert abs(rows[0]["mu_psnr_db"] - rows[1]["mu_psnr_db"]) < 0.1
    assert abs(rows[0]["clipped_mu_psnr_db"] - rows[1]["clipped_mu_psnr_db"]) < 0.1
    assert abs(rows[0]["pu_ssim"] - rows[1]["pu_ssim"]) < 0.002
    assert rows[1]["weight_bytes"] > (3e6 if scheme == "fp32" else 0.8e6)


def test_strips_show_every_column(tmp_path: Path):
    pairs = dict(list(held_out_pairs().items())[:2])
    lights = [light for _, light in pairs.values()]
    draw_strips(tmp_path / "strips.png", pairs, {"one": lights, "two": lights}, "two")
    with Image.open(tmp_path / "strips.png") as picture:
        assert picture.width > picture.height > 200
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 1000


def test_stops_show_what_is_above_white(tmp_path: Path):
    """Four stops darker the photograph's white is one grey, and light has as many as it has."""
    photo = np.full((64, 64, 3), 255, np.uint8)
    light = np.geomspace(1, 16, 64, dtype=np.float32)[:, None, None] * np.ones((64, 64, 3))
    draw_stops(tmp_path / "stops.png", {"sky": (photo, light)}, [light.astype(np.float32)])
    with Image.open(tmp_path / "stops.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    third = pixels.shape[1] * 2 // 3
    middle = pixels[pixels.shape[0] // 4 : pixels.shape[0] * 3 // 4]
    photo_part, light_part = np.array_split(middle[:, third:], 3, axis=1)[:2]
    assert len(np.unique(light_part[:, 100:-100])) > 20 > len(np.unique(photo_part[:, 100:-100]))


def test_writing_pairs_again_gives_the_same(tmp_path: Path):
    light = np.random.default_rng(0).lognormal(0, 1, (64, 128, 3)).astype(np.float32)
    for folder in ("one", "two"):
        assert write_held_out({"forest": Panorama(light)}, tmp_path / folder) == 4
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
