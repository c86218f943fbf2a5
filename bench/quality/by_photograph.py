"""Results photograph by photograph, and where a network does worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.quality.evaluate import Result
from bench.quality.quality_metrics import MU_PSNR
from compile.training.flat import photograph_of
from compile.training.pairs import Pair


def rows_by_photograph(names: Sequence[str], results: Sequence[Result]) -> list[dict[str, Any]]:
    """The means of all metrics over the pairs of each photograph, a row for each and each of
    ``results``; ``names`` are those of the pairs, in their order."""
    photographs = [photograph_of(name) for name in names]
    rows = []
    for result in results:
        who = {"engine": result.engine, "scheme": result.scheme, "attention": result.attention}
        table = pd.DataFrame({"photograph": photographs} | result.scores)
        means = table.groupby("photograph", sort=False).mean()
        rows += [who | {"photograph": name} | dict(row) for name, row in means.iterrows()]
    return rows


def worst_pairs(
    pairs: Mapping[str, Pair], judged: Result, bar: Result, count: int = 3
) -> dict[str, Pair]:
    """One pair of each of the ``count`` photographs in which ``judged`` is farthest behind ``bar``
    (or least ahead) by mean mu-law PSNR: that in which it is so most of all."""
    scores = zip(judged.scores[MU_PSNR], bar.scores[MU_PSNR], strict=True)
    behind = pd.Series([theirs - ours for ours, theirs in scores], index=list(pairs))
    by_photograph = behind.groupby(photograph_of)
    worst = by_photograph.mean().nlargest(count).index
    return {name: pairs[name] for name in by_photograph.idxmax()[worst]}
