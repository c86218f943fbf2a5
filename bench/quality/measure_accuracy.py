"""Everything that ``bench/accuracy.py`` does once its options are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bench.quality.evaluate import (
    Result,
    against_float32,
    evaluate_network,
    evaluate_tone_mappers,
    request_for,
)
from bench.quality.strips import draw_strips
from compile.support.atomic import make_folder, write_atomically
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from compile.training.held_out import held_out_pairs

_LARGEST_DISAGREEMENT_DB = 0.1


@dataclass(frozen=True)
class AccuracyRequest:
    """What to measure.

    Attributes:
        schemes, attentions: by name.
        checkpoint: weights of the one attention measured; None: the bundled ones.
        strips: pairs to draw; none: all.
        out: folder to write to; artefacts are built below it.
    """

    schemes: Sequence[str]
    attentions: Sequence[str]
    checkpoint: Path | None
    strips: Sequence[str]
    out: Path


def measure_accuracy(request: AccuracyRequest, progress: Progress) -> list[dict[str, Any]]:
    """Measure the tone mappers and each scheme on the held-out pairs, write accuracy.csv and
    strips.png, and return a row of means for each.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    pairs = held_out_pairs()
    for name in request.strips:
        if name not in pairs:
            raise MqnetError(f"there is no held-out pair {name!r}: choose of {', '.join(pairs)}")
    drawn = {name: pair for name, pair in pairs.items() if name in (request.strips or pairs)}
    make_folder(request.out)
    torch.set_num_threads(1)
    results: list[Result] = []
    with progress.phase("tone mappers"):
        results += evaluate_tone_mappers(list(pairs.values()))
    for attention in request.attentions:
        for scheme in request.schemes:
            progress.say(f"{attention}, {scheme}")
            folder = request.out / f"{attention}-{scheme}"
            build = request_for(scheme, attention, request.checkpoint, folder)
            results += evaluate_network(build, list(pairs.values()), progress)
    rows = [_row(result, results) for result in results]
    write_atomically(request.out / "accuracy.csv", pd.DataFrame(rows).to_csv(index=False).encode())
    compiled = {
        f"{result.attention} {result.scheme}": [
            light for name, light in zip(pairs, result.lights, strict=True) if name in drawn
        ]
        for result in results
        if result.engine == "tvm"
    }
    draw_strips(request.out / "strips.png", drawn, compiled, list(compiled)[-1])
    return rows


def check_agreement(rows: Sequence[dict[str, Any]]) -> None:
    """Raise RuntimeError where a compiled network differs from its PyTorch reference."""
    by_engine = {(r["engine"], r["attention"], r["scheme"]): r["mu_psnr_db"] for r in rows}
    for (engine, *network), compiled in by_engine.items():
        difference = compiled - by_engine[("pytorch", *network)] if engine == "tvm" else 0.0
        if abs(difference) > _LARGEST_DISAGREEMENT_DB:
            raise RuntimeError(
                f"compiled {' '.join(network)} differs from PyTorch by {difference:+.2f} dB"
                ": the compiler is wrong"
            )


def _row(result: Result, results: list[Result]) -> dict[str, Any]:
    row = result.row()
    agreement = against_float32(result, results)
    for name, choose in (("fp32_psnr_db", np.mean), ("least_fp32_psnr_db", np.min)):
        row[name] = None if agreement is None else float(choose(agreement))
    return row
