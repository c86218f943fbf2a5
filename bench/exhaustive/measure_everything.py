"""Measures every configuration of a network's largest kernels, and stock MetaSchedule's candidates
of them, into a log of its own; goes on where it was ended."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from bench.exhaustive.generic_search import GenericResult, search_generic_space
from bench.exhaustive.measured_space import MeasuredSpace
from bench.exhaustive.regret_request import RegretRequest
from bench.exhaustive.turns_runner import TurnsRunner
from compile.kernels.common.core_model import CoreModel
from compile.records.json_lines import append_line, read_lines, repair
from compile.records.session_file import SESSION
from compile.records.tuning_log import TuningLog
from compile.search.candidate import all_configurations
from compile.search.kernel_task import KernelTask, NetworkKernels
from compile.search.session_log import open_session_log
from compile.search.session_tools import session_machines, session_tools
from compile.search.tune_network import tune_kernels
from compile.search.tuning_session import SearchPlan, SessionResources
from compile.support.errors import TargetError
from compile.support.progress import Progress
from targets.spec import TargetSpec

_GENERIC = "metaschedule.jsonl"
_EVERYTHING = 10**9


def largest_kernels(tasks: Sequence[KernelTask], count: int) -> list[KernelTask]:
    """Return the ``count`` kernels with the most multiply-accumulates in a frame."""
    return sorted(tasks, key=lambda task: task.calls * task.macs, reverse=True)[:count]


def measure_everything(
    request: RegretRequest,
    spec: TargetSpec,
    core: CoreModel,
    tasks: Sequence[KernelTask],
    folder: Path,
    scratch: Path,
    console: Console,
) -> None:
    """Measure what the log in ``folder``, which the caller has locked, does not hold yet.

    Args:
        request: how, and what beside our own configurations.
        spec, core: target.
        tasks: the kernels.
        folder: of the log.
        scratch: folder for libraries.
        console: that shows how far it is.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    left = _unmeasured(tasks, core, folder)
    known = {result.kernel for result in generic_results(folder, request.generic_trials)}
    left_generic = [task for task in tasks if request.generic_trials and task.key not in known]
    if not left and not left_generic:
        return
    with (
        session_machines(request.tune, spec, console) as machines,
        session_tools(machines, request.tune, spec, core, scratch, console) as tools,
    ):
        # Without a last round: every candidate is to keep its time.
        in_turns = TurnsRunner(tools.runner, request.turns)
        its = SessionResources(tools.builder, in_turns, tools.expected)
        plan = SearchPlan(_EVERYTHING, least_gain=0.0)
        if left:
            kernels = NetworkKernels(left, {})
            tune_kernels(request.tune, spec, kernels, plan, its, folder, console)
        else:
            # Raises where the log is another device's.
            open_session_log(folder, request.tune, spec, tools.runner)
        done = len(tasks) - len(left_generic)
        with Progress(console).count("MetaSchedule's generic space", len(tasks), done) as step:
            for task in left_generic:
                step.describe(task.name)
                _search_generic(task, spec, tools, request.generic_trials, folder)
                step.advance()


def measured_space(task: KernelTask, core: CoreModel, log: TuningLog) -> MeasuredSpace:
    """Return what ``log`` holds of ``task``.

    Raises:
        TargetError: no configuration of it is right.
    """
    default, configurations = all_configurations(task.family, task.load(), core)
    measured, failed = log.measured(task.key), log.session.failed.get(task.key, {})
    space = MeasuredSpace(
        task,
        default,
        {one: measured[one] for one in configurations if one in measured},
        {one: failed[one] for one in configurations if one in failed},
    )
    if not space.seconds:
        raise TargetError(f"none of the {len(configurations)} ways to cut {task.name} is right")
    return space


def generic_results(folder: Path, trials: int) -> list[GenericResult]:
    """Return what is known of MetaSchedule's searches with so many ``trials``."""
    repair(folder / _GENERIC)
    return [
        msgspec.convert(fields, GenericResult)
        for asked, fields in read_lines(folder / _GENERIC)
        if asked == trials
    ]


def _unmeasured(tasks: Sequence[KernelTask], core: CoreModel, folder: Path) -> list[KernelTask]:
    """Those of which a configuration has neither been measured nor failed."""
    if not folder.joinpath(SESSION).is_file():
        return list(tasks)
    log = TuningLog.read(folder)

    def is_measured(task: KernelTask) -> bool:
        _, configurations = all_configurations(task.family, task.load(), core)
        known = {*log.measured(task.key), *log.session.failed.get(task.key, ())}
        return known.issuperset(configurations)

    return [task for task in tasks if not is_measured(task)]


def _search_generic(
    task: KernelTask, spec: TargetSpec, tools: SessionResources, trials: int, folder: Path
) -> None:
    workers = len(os.sched_getaffinity(0))
    found = search_generic_space(task, spec, tools, workers, trials)
    append_line(folder / _GENERIC, [trials, msgspec.to_builtins(found)])
