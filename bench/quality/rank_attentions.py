"""The attentions in order, and how sure that order is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.quality.evaluate import Result
from bench.quality.quality_metrics import MU_PSNR
from compile.training.flat import photograph_of


def rank_attentions(names: Sequence[str], results: Sequence[Result]) -> list[dict[str, Any]]:
    """The compiled networks among ``results``, scheme by scheme, the best attention first; a scheme
    that was measured with one attention alone is left out.

    Each has its mean mu-law PSNR in dB, how far that is behind the best, and the standard error of
    that difference. Pictures of one place are alike, so it is over places: of a held-out pair's
    name what is before its number, of a flat one the photograph. ``names`` are those of the pairs,
    in their order.
    """
    places = [re.sub(r"-\d+$", "", photograph_of(name)) for name in names]
    rows = list[dict[str, Any]]()
    for scheme in dict.fromkeys(result.scheme for result in results):
        scores = {
            result.attention: pd.Series(result.scores[MU_PSNR])
            for result in results
            if result.engine == "tvm" and result.scheme == scheme
        }
        if len(scores) < 2:
            continue
        order = sorted(scores, key=lambda one: -scores[one].mean())
        for attention in order:
            behind = (scores[order[0]] - scores[attention]).groupby(places).mean()
            rows.append(
                {
                    "scheme": scheme,
                    "attention": attention,
                    MU_PSNR: float(scores[attention].mean()),
                    "behind_db": float((scores[order[0]] - scores[attention]).mean()),
                    "standard_error_db": float(behind.sem()) if attention != order[0] else 0.0,
                }
            )
    return rows
