"""A precision search from its request to the recipe."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from compile.build_request import BuildRequest
from compile.precision.candidate import Candidate, pareto_front
from compile.precision.candidate_log import FORMAT, CandidateLog, SearchFacts
from compile.precision.evaluate_candidates import (
    SCHEMES,
    Evaluator,
    SearchedNetwork,
    load_searched,
)
from compile.precision.front import write_front
from compile.precision.greedy_search import Goal, cheapest, search_greedily
from compile.precision.measure_decibels import ExactOutputs
from compile.precision.search_request import BEST, SearchRequest
from compile.precision.time_candidates import EmulatedMeter, HostMeter, Meter
from compile.precision.vary_calibration import choices_of, vary_calibration, why_too_few
from compile.quantize.crop_size import crop_size
from compile.quantize.keep_program import program_key
from compile.quantize.schemes import scheme_named
from compile.records.log_places import find_logs
from compile.support.atomic import make_folder, write_atomically
from compile.support.build_cache import content_of, key_of, user_cache
from compile.support.errors import OutputError
from compile.support.interruption import check_interrupted
from compile.support.outputs import check_output_files
from compile.support.progress import Progress
from compile.support.scratch_folder import scratch_folder
from targets.load_target import is_path, load_target

# What decides what a candidate is, beside what decides its program.
_SOURCES = (
    "compile/frontend",
    "compile/graph",
    "compile/kernels",
    "compile/backends",
    "compile/passes",
    "compile/codegen",
    "targets",
    "device/emulated/arm64",
)
_SHOWN = 70
# The scheme that other crops are tried with, and how many orders of the photographs.
_CALIBRATED, _ORDERS = "mixed", 3

log = logging.getLogger(__name__)
# Another candidate is worth a word beside a scheme at so much of its cost, with so much more dB.
_NEARLY, _MUCH_DB = 1.01, 0.1


@dataclass(frozen=True)
class SearchResult:
    """What a search has found.

    Attributes:
        chosen: the cheapest candidate with the dB ``wanted``.
        candidates: all.
        unit: of costs.
        wanted: dB.
    """

    chosen: Candidate
    candidates: Sequence[Candidate]
    unit: str
    wanted: float

    def as_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        front = {one.number for one in pareto_front(self.candidates)}
        return {
            "unit": self.unit,
            "wanted_db": self.wanted,
            "chosen": self.chosen.number,
            "schemes": self.verdicts(),
            "candidates": [
                {
                    "number": one.number,
                    "precisions": one.name,
                    "recipe": one.recipe,
                    "db": one.db,
                    "least_db": one.least_db,
                    "cost": one.cost,
                    "weight_bytes": one.weight_bytes,
                    "on_front": one.number in front,
                    "problem": one.problem,
                }
                for one in self.candidates
            ],
        }

    def verdicts(self) -> dict[str, str]:
        """By scheme, whether it is on the front or which candidate is better by both axes, or by
        dB at nearly the same cost."""
        found = {}
        good = [one for one in self.candidates if not one.problem]
        for one in good:
            if one.name not in SCHEMES:
                continue
            better = [other for other in good if other.beats(one)]
            text = "better by both axes" if better else "of more dB at nearly this cost"
            near = better or [
                other
                for other in good
                if other.cost <= _NEARLY * one.cost and other.db > one.db + _MUCH_DB
            ]
            found[one.name] = f"{one.db:.2f} dB at {one.cost:.3f} {self.unit}, " + (
                "beaten" if better else "on the front"
            )
            if near:
                best = max(near, key=lambda other: other.db)
                found[one.name] += (
                    f"; candidate {best.number} is {text}, {best.db:.2f} dB at {best.cost:.3f}: "
                    f"{_short(best.name)}"
                )
        return found


def _check_are_a_searchs(outputs: Sequence[Path], log: Path) -> None:
    """Raise where a file would be lost that no search has written: they are named by the recipe,
    and a search that goes on has its log."""
    there = [path for path in outputs if path.exists()]
    if there and not log.exists():
        raise OutputError(
            f"{there[0]} would be overwritten, and no search has written it ({log} is not there): "
            "name another recipe by -o"
        )


def search_precision(request: SearchRequest, console: Console) -> SearchResult:
    """Search, and write the recipe, the table, the figure and the log, also of what there is where
    the search is interrupted.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    request.check()
    outputs = [request.out, request.table, request.picture, request.log]
    progress, build = Progress(console), request.build
    check_output_files([request.out], endings=(".toml",))
    target = Path(build.target) if is_path(build.target) else None
    check_output_files(outputs, [build.checkpoint, request.photos, build.recipe, target])
    _check_are_a_searchs(outputs, request.log)
    spec = load_target(build.target)
    meter: Meter
    if request.emulated_root is not None:
        meter = EmulatedMeter(spec, request.emulated_root)
    else:
        meter = HostMeter(spec)
    with closing(meter), scratch_folder("mqnet-precision-") as work:
        make_folder(request.out.parent)
        with progress.phase("float32"):
            searched = load_searched(build, request.photos)
        found = CandidateLog(request.log, _facts(request, searched, meter))
        done = len(found.candidates)
        if done:
            progress.say(f"{request.log} has {done} candidates: going on")
        elif build.network.takes_photographs:
            _warn_of_few_photographs(build, searched.exact, progress)
        with progress.count("candidates", request.trials, done) as step:

            def report(one: Candidate) -> None:
                check_interrupted()
                what = one.problem or f"{one.db:.2f} dB, {one.cost:.3f} {meter.unit}"
                progress.say(f"  candidate {one.number}: {what}: {_short(one.name)}")
                step.advance()

            evaluator = Evaluator(searched, meter, found, user_cache(os.environ), work, report)
            points = {name: evaluator.scheme(name) for name in SCHEMES}
            best = max(one.db for one in points.values())
            reference = best if request.against == BEST else points[request.against].db
            wanted = reference - request.budget
            goal = Goal(wanted, request.trials, request.with_float_weights)
            try:
                search_greedily(evaluator, searched.scopes, goal, step.describe)
            finally:
                # What there is so far is of use, too, where Ctrl-C ends it.
                result = _result(found.candidates, meter, wanted)
                _write(request, result, meter)
    return result


def _result(candidates: Sequence[Candidate], meter: Meter, wanted: float) -> SearchResult:
    chosen = cheapest(candidates, wanted)
    assert chosen is not None  # The scheme that was asked for is one.
    return SearchResult(chosen, candidates, meter.unit, wanted)


def _warn_of_few_photographs(build: BuildRequest, exact: ExactOutputs, progress: Progress) -> None:
    photos = build.network.calibration_photos()
    orders = choices_of(len(photos), len(photos), _ORDERS)
    with progress.count("other crops of the photographs", len(orders)) as step:
        rows = vary_calibration(replace(build, scheme=_CALIBRATED), photos, orders, exact, step)
    if reason := why_too_few(rows):
        log.warning(reason)


def print_result(result: SearchResult, request: SearchRequest, console: Console) -> None:
    """Say what was chosen, and what became of the schemes."""
    one = result.chosen
    lines = [f"  {name}: {verdict}" for name, verdict in result.verdicts().items()]
    lines.append(
        f"chosen: candidate {one.number}, {one.db:.2f} dB (wanted {result.wanted:.2f}) at "
        f"{one.cost:.3f} {result.unit}: {_short(one.name)}"
    )
    lines.append(f"{request.out}, {request.table.name}, {request.picture.name}")
    console.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)


def _write(request: SearchRequest, result: SearchResult, meter: Meter) -> None:
    one, build = result.chosen, request.build
    height, width = build.size
    title = f"{_name(build)} {height}x{width}, {build.target}, {meter.machine}"
    comments = (
        f"Found by compile/search_precision.py: {title}.",
        f"{one.db:.2f} dB to float32, {one.cost:.3f} {meter.unit} a frame.",
    )
    text = "".join(f"# {comment}\n" for comment in comments) + one.recipe
    write_atomically(request.out, text.encode())
    write_front(
        result.candidates,
        meter.unit,
        title,
        one,
        result.wanted,
        request.table,
        request.picture,
    )


def _facts(request: SearchRequest, searched: SearchedNetwork, meter: Meter) -> SearchFacts:
    build = request.build
    network, weights = build.network, build.weights
    net = network.load(weights)
    program = program_key(
        network, scheme_named("int8"), weights, net, crop_size(network, net, *build.size)
    )
    records = (path.read_bytes() for log in find_logs(build.logs) for path in log.glob("*.json"))
    key = key_of(
        program,
        json.dumps({**build.facts(), "scheme": ""}, sort_keys=True, default=str),
        repr(load_target(build.target)),
        *(np.ascontiguousarray(one).tobytes() for frame in searched.exact.frames for one in frame),
        *sorted(records),
        content_of(_SOURCES),
    )
    size = "{}x{}".format(*build.size)
    return SearchFacts(FORMAT, key, _name(build), build.target, size, meter.unit, meter.machine)


def _name(build: BuildRequest) -> str:
    title, label = build.network.title, build.network.label
    return label if title in label else f"{title} {label}"


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[: _SHOWN - 3]}..."
