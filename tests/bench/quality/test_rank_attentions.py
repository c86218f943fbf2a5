"""The attentions in order, by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bench.quality.evaluate import Result
from bench.quality.rank_attentions import rank_attentions

NAMES = ["forest-0", "forest-1", "night-0", "night-1", "cat: one", "cat: two"]


def result(attention: str, scores: Sequence[float], engine: str = "tvm") -> Result:
    return Result(engine, "mixed", attention, None, [], {"mu_psnr_db": list(scores)}, 0)


def test_the_best_comes_first_and_errors_are_over_places() -> None:
    results = [
        result("sa", [30, 30, 30, 30, 30, 30]),
        result("ca", [31, 31, 33, 33, 32, 32]),
        result("csa", [31, 31, 32, 34, 32, 32]),
        result("csa", [99] * 6, engine="pytorch"),
    ]
    first, second, third = rank_attentions(NAMES, results)
    assert [first["attention"], second["attention"], third["attention"]] == ["ca", "csa", "sa"]
    assert first["mu_psnr_db"] == 32 and first["behind_db"] == first["standard_error_db"] == 0
    # Two pictures of one night differ by as much to either side.
    assert second["behind_db"] == second["standard_error_db"] == 0
    assert third["behind_db"] == 2
    assert third["standard_error_db"] == pytest.approx(1 / 3**0.5)


def test_one_attention_has_no_order() -> None:
    assert rank_attentions(NAMES, [result("ca", range(6))]) == []
