"""Everything that ``bench/regret.py`` does once its options are read."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.exhaustive.measure_everything import (
    generic_results,
    largest_kernels,
    measure_everything,
    measured_space,
)
from bench.exhaustive.measured_space import MeasuredSpace
from bench.exhaustive.regret_request import RegretRequest
from bench.exhaustive.regret_rows import (
    ALL_KERNELS,
    GenericRow,
    RegretRow,
    generic_row,
    regret_after,
    summarize,
)
from bench.exhaustive.replay_session import replay_session
from compile.backends.backend_for import backend_for
from compile.kernels.common.core_model import CoreModel
from compile.records.log_folder import locked_log, records_name
from compile.records.log_places import find_log
from compile.records.tuning_log import TuningLog
from compile.search.cost_model import CostModel
from compile.search.earlier_logs import tell_log
from compile.search.lower_kernels import tunable_kernels
from compile.search.tuning_session import SearchPlan
from compile.support.build_cache import user_cache
from compile.support.errors import TargetError
from compile.support.progress import Progress
from compile.support.scratch_folder import scratch_folder
from targets.load_target import load_target


@dataclass(frozen=True)
class Regrets:
    """What was found.

    Attributes:
        target: the log's name, as "host-x86-avx2".
        device: that measured, in words.
        emulated: figures are cycles of a model, and no times.
        rows: by start and kernel.
        generic: by kernel.
    """

    target: str
    device: str
    emulated: bool
    rows: list[RegretRow]
    generic: list[GenericRow]

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {**asdict(self), "summary": [asdict(one) for one in summarize(self.rows)]}


def find_regret(request: RegretRequest, folder: Path, console: Console) -> Regrets:
    """Measure into a log below ``folder`` whatever it does not hold yet, and replay sessions on it.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    request.check()
    spec = load_target(request.tune.target)
    core = backend_for(spec, spec.threads).core
    models = dict(_cost_model(name) for name in ("", *request.after))
    log_folder = folder / records_name(spec)
    with locked_log(log_folder), scratch_folder("mqnet-regret-") as scratch:
        progress, cache = Progress(console), user_cache(os.environ)
        kernels = tunable_kernels(request.tune.build, spec, progress, None, cache)
        tasks = largest_kernels(kernels.tasks, request.kernels)
        measure_everything(request, spec, core, tasks, log_folder, scratch, console)
        log = TuningLog.read(log_folder)
        spaces = [measured_space(task, core, log) for task in tasks]
        rows = []
        groups = [*([space] for space in spaces), *([spaces] if len(spaces) > 1 else [])]
        count = len(models) * len(groups) * request.seeds
        with progress.count("sessions on what was measured", count) as step:
            for start, model in models.items():
                for some in groups:
                    row = _row(start, model, some, core, request, scratch, step.advance)
                    rows.append(row)
        results = {one.kernel: one for one in generic_results(log_folder, request.generic_trials)}
    each = sum(one.seconds for one in log.session.sessions) / max(
        1, sum(one.trials for one in log.session.sessions)
    )
    return Regrets(
        log_folder.name,
        log.session.device.cpu or "a device that does not tell its name",
        request.tune.emulated_root is not None,
        rows,
        [
            generic_row(results[space.task.key], space.task.name, space.best_seconds, each)
            for space in spaces
            if space.task.key in results
        ],
    )


def _cost_model(name: str) -> tuple[str, CostModel]:
    """What it is called, and one that knows the log of that name or folder; "" is none."""
    model = CostModel()
    if not name:
        return "cold", model
    log = TuningLog.read(Path(name) if Path(name).is_dir() else find_log(name, None))
    tell_log(model, log, log.session.target)
    if not log.database.size:
        raise TargetError(f"the log {log.folder} holds no record to begin with: name another one")
    return f"after {log.session.target}", model


def _row(
    start: str,
    model: CostModel,
    spaces: Sequence[MeasuredSpace],
    core: CoreModel,
    request: RegretRequest,
    scratch: Path,
    tell: Callable[[], None],
) -> RegretRow:
    best = sum(space.task.calls * space.best_seconds for space in spaces)
    most = max(request.trials) * len(spaces)
    sessions = []
    for seed in range(request.seeds):
        plan = SearchPlan(most, seed=seed)
        sessions.append(replay_session(spaces, core, copy.deepcopy(model), plan, scratch))
        tell()
    (name, family), *others = [(space.task.name, space.task.family) for space in spaces]
    return RegretRow(
        start,
        ALL_KERNELS if others else name,
        "" if others else family,
        sum(space.size for space in spaces),
        {
            trials: tuple(regret_after(one, best, trials * len(spaces)) for one in sessions)
            for trials in request.trials
        },
    )
