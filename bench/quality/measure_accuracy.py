"""Everything that ``bench/accuracy.py`` does once its options are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from bench.quality.by_photograph import rows_by_photograph, worst_pairs
from bench.quality.evaluate import (
    Light,
    Result,
    against_float32,
    evaluate_network,
    evaluate_tone_mappers,
    request_for,
)
from bench.quality.quality_metrics import METRICS, MU_PSNR, Metric
from bench.quality.rank_attentions import rank_attentions
from bench.quality.strips import draw_stops, draw_strips
from compile.support.atomic import make_folder, write_atomically
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from compile.training.flat import flat_pairs
from compile.training.held_out import SIZE, held_out_pairs
from compile.training.pairs import Pair

_LARGEST_DISAGREEMENT_DB = 0.1
# HDR-FLIP takes nine tenths of the time of all metrics: of 150 pairs that is too much.
_FLAT_METRICS = {name: metric for name, metric in METRICS.items() if name != "flip"}
# What no photograph should come out worse than, by more than that.
_BAR, _BEHIND_DB = "srgb", 1.0


@dataclass(frozen=True)
class AccuracyRequest:
    """What to measure.

    Attributes:
        schemes, attentions: by name.
        checkpoint: weights of the one attention measured; None: the bundled ones.
        strips: pairs to draw; none: all.
        flat: folder with the photographs of the second test set, or None to leave it out.
        out: folder to write to; artefacts are built below it.
    """

    schemes: Sequence[str]
    attentions: Sequence[str]
    checkpoint: Path | None
    strips: Sequence[str]
    flat: Path | None
    out: Path


@dataclass(frozen=True)
class PairSet:
    """Pairs that are measured together.

    Attributes:
        name: "held-out" or "flat".
        pairs: by name.
        metrics: that are measured.
    """

    name: str
    pairs: dict[str, Pair]
    metrics: Mapping[str, Metric]


class Measured(NamedTuple):
    """What was measured.

    Attributes:
        rows: the means of each set, engine and scheme.
        ranking: of attentions in each set; empty where only one was measured.
    """

    rows: list[dict[str, Any]]
    ranking: list[dict[str, Any]]


def measure_accuracy(request: AccuracyRequest, progress: Progress) -> Measured:
    """Measure the tone mappers and each scheme on the held-out pairs, and on flat photographs if
    they are asked for; write accuracy.csv, photographs.csv, ranking.csv where there is more than
    one attention, strips.png, stops.png and worst.png.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    held_out = held_out_pairs()
    for name in request.strips:
        if name not in held_out:
            raise MqnetError(f"there is no held-out pair {name!r}: choose of {', '.join(held_out)}")
    sets = [PairSet("held-out", held_out, METRICS)]
    if request.flat is not None:
        sets.append(PairSet("flat", flat_pairs(request.flat, SIZE), _FLAT_METRICS))
    make_folder(request.out)
    torch.set_num_threads(1)
    rows, photographs, ranking = (list[dict[str, Any]]() for _ in range(3))
    for chosen in sets:
        progress.say(f"{chosen.name}: {len(chosen.pairs)} pairs")
        results = _results(request, chosen, progress)
        rows += [{"pairs": chosen.name} | _row(result, results) for result in results]
        of_each = rows_by_photograph(list(chosen.pairs), results)
        photographs += [{"pairs": chosen.name} | row for row in of_each]
        in_order = rank_attentions(list(chosen.pairs), results)
        ranking += [{"pairs": chosen.name} | row for row in in_order]
        if chosen.name == "held-out":
            names = request.strips or list(held_out)
            _draw(request.out / "strips.png", chosen, names, results)
            drawn = _pairs_called(names, chosen)
            lights = _lights_of(drawn, _compiled(results)[-1], chosen)
            draw_stops(request.out / "stops.png", drawn, lights)
        else:
            bar = _bar(results)
            worst = worst_pairs(chosen.pairs, _compiled(results)[-1], bar)
            _draw(request.out / "worst.png", chosen, list(worst), results, bar)
    tables = {"accuracy": rows, "photographs": photographs, "ranking": ranking}
    for name, table in tables.items():
        if table:
            text = pd.DataFrame(table).to_csv(index=False)
            write_atomically(request.out / f"{name}.csv", text.encode())
    return Measured(rows, ranking)


def _results(request: AccuracyRequest, chosen: PairSet, progress: Progress) -> list[Result]:
    pairs = list(chosen.pairs.values())
    with progress.phase("tone mappers"):
        results = list(evaluate_tone_mappers(pairs, chosen.metrics))
    for attention in request.attentions:
        for scheme in request.schemes:
            progress.say(f"{attention}, {scheme}")
            folder = request.out / f"{attention}-{scheme}"
            build = request_for(scheme, attention, request.checkpoint, folder)
            results += evaluate_network(build, pairs, progress, chosen.metrics)
    return results


def _bar(results: Sequence[Result]) -> Result:
    return next(result for result in results if result.scheme == _BAR)


def _compiled(results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result.engine == "tvm"]


def _draw(
    path: Path,
    chosen: PairSet,
    names: Sequence[str],
    results: Sequence[Result],
    beside: Result | None = None,
) -> None:
    """Strips of the pairs called ``names``: of ``beside``, if any, and of all that is compiled."""
    drawn = _pairs_called(names, chosen)
    columns = {
        f"{result.attention} {result.scheme}".strip(): _lights_of(drawn, result, chosen)
        for result in (*([] if beside is None else [beside]), *_compiled(results))
    }
    draw_strips(path, drawn, columns, list(columns)[-1])


def _pairs_called(names: Sequence[str], chosen: PairSet) -> dict[str, Pair]:
    """Those of ``chosen``, in its order."""
    return {name: pair for name, pair in chosen.pairs.items() if name in names}


def _lights_of(drawn: Mapping[str, Pair], result: Result, chosen: PairSet) -> list[Light]:
    lights = zip(chosen.pairs, result.lights, strict=True)
    return [light for name, light in lights if name in drawn]


def check_agreement(rows: Sequence[dict[str, Any]]) -> None:
    """Raise RuntimeError where a compiled network differs from its PyTorch reference."""
    key = "engine", "pairs", "attention", "scheme"
    by_engine = {tuple(row[name] for name in key): row["mu_psnr_db"] for row in rows}
    for (engine, *network), compiled in by_engine.items():
        difference = compiled - by_engine[("pytorch", *network)] if engine == "tvm" else 0.0
        if abs(difference) > _LARGEST_DISAGREEMENT_DB:
            raise RuntimeError(
                f"compiled {' '.join(network)} differs from PyTorch by {difference:+.2f} dB"
                ": the compiler is wrong"
            )


def _row(result: Result, results: list[Result]) -> dict[str, Any]:
    row = result.row()
    scores = zip(result.scores[MU_PSNR], _bar(results).scores[MU_PSNR], strict=True)
    row["pairs_behind_srgb"] = sum(own < bar - _BEHIND_DB for own, bar in scores)
    agreement = against_float32(result, results)
    for name, choose in (("fp32_psnr_db", np.mean), ("least_fp32_psnr_db", np.min)):
        row[name] = None if agreement is None else float(choose(agreement))
    return row
