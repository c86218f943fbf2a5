"""Both sets of pairs in one table, photograph by photograph, and the worst of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from bench.quality import measure_accuracy as module
from bench.quality.by_photograph import rows_by_photograph, worst_pairs
from bench.quality.evaluate import Result, evaluate_tone_mappers
from bench.quality.measure_accuracy import AccuracyRequest, measure_accuracy
from bench.quality.quality_metrics import METRICS
from bench.quality.tone_mappers import TONE_MAPPERS
from compile.support.progress import Progress
from compile.training.held_out import held_out_pairs
from compile.training.pairs import Pair

SCORES = {"mu_psnr_db": METRICS["mu_psnr_db"]}
NAMES = [f"{photo}: {camera}" for photo in ("cat", "dog", "elk") for camera in ("one", "two")]


def result(scores: Sequence[float], scheme: str = "mixed") -> Result:
    return Result("tvm", scheme, "ca", None, [], {"mu_psnr_db": list(scores)}, 0)


def test_means_of_each_photograph():
    rows = rows_by_photograph(NAMES, [result([1, 3, 10, 20, 7, 7]), result([0] * 6, "int8")])
    assert [(row["photograph"], row["mu_psnr_db"]) for row in rows[:3]] == [
        *(("cat", 2), ("dog", 15), ("elk", 7))
    ]
    assert [row["scheme"] for row in rows] == ["mixed"] * 3 + ["int8"] * 3


def test_the_worst_pair_of_the_worst_photographs():
    pairs = dict.fromkeys(NAMES, (np.zeros(1), np.zeros(1)))
    judged, bar = result([30, 30, 20, 29, 40, 40]), result([30, 31, 35, 30, 30, 30], "srgb")
    assert list(worst_pairs(pairs, judged, bar, 2)) == ["dog: one", "cat: two"]


def test_both_sets_in_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    held_out = dict(list(held_out_pairs().items())[:2])
    flat = dict(zip(NAMES, [pair for pair in held_out.values() for _ in range(3)], strict=True))

    def network(_request: object, pairs: Sequence[Pair], *_: object) -> Iterator[Result]:
        """A stand-in: the inverse of sRGB's curve."""
        inverse = next(evaluate_tone_mappers(pairs, SCORES))
        for engine in ("pytorch", "tvm"):
            yield replace(inverse, engine=engine, scheme="mixed", attention="ca")

    for name, value in (
        ("held_out_pairs", lambda: held_out),
        ("flat_pairs", lambda *_: flat),
        ("evaluate_network", network),
        ("METRICS", SCORES),
        ("_FLAT_METRICS", SCORES),
    ):
        monkeypatch.setattr(module, name, value)
    request = AccuracyRequest(("mixed",), ("ca",), None, (), tmp_path, tmp_path)
    rows, ranking = measure_accuracy(request, Progress(Console(quiet=True)))
    assert not ranking and not (tmp_path / "ranking.csv").exists()
    assert any(row["pairs_behind_srgb"] for row in rows)
    assert all(row["pairs_behind_srgb"] == 0 for row in rows if row["engine"] != "tone-mapper")
    module.check_agreement(rows)
    ways = len(TONE_MAPPERS) + 2
    assert [row["pairs"] for row in rows] == ["held-out"] * ways + ["flat"] * ways
    table = pd.read_csv(tmp_path / "photographs.csv")
    assert list(table[table.scheme == "srgb"].photograph) == [*held_out, "cat", "dog", "elk"]
    for name in ("strips.png", "stops.png", "worst.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.height > 300
    rows[-1]["mu_psnr_db"] += 1
    with pytest.raises(RuntimeError, match="compiled flat ca mixed differs"):
        module.check_agreement(rows)
