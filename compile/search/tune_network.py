"""Everything that ``compile/tune.py`` does for a session once its options are read."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from msgspec import structs, to_builtins
from rich.console import Console
from torch.export import ExportedProgram

from compile.backends.backend_for import backend_for
from compile.records.log_folder import (
    check_is_log_of,
    locked_log,
    records_name,
)
from compile.records.log_places import writable_log
from compile.records.session_file import (
    DeviceFacts,
    FinishedSession,
    FrameSeconds,
    TunedKernel,
    read_session,
)
from compile.records.tuning_log import TuningLog
from compile.search.cost_model import CostModel
from compile.search.earlier_logs import tell_earlier_logs
from compile.search.kernel_task import KernelTask, NetworkKernels
from compile.search.lower_kernels import tunable_kernels
from compile.search.record_writer import RecordWriter
from compile.search.session_log import open_session_log
from compile.search.session_tools import SessionMachines, session_machines, session_tools
from compile.search.show_session import shown_session
from compile.search.tune_request import TuneRequest
from compile.search.tuning_session import SearchPlan, SessionResources, TuningSession
from compile.support.build_cache import user_cache
from compile.support.progress import Progress
from compile.support.scratch_folder import scratch_folder
from targets.check_llvm import check_llvm_knows
from targets.describe_target import tvm_target
from targets.load_target import load_target
from targets.spec import TargetSpec


def tune_network(
    request: TuneRequest, console: Console, program: ExportedProgram | None = None
) -> dict[str, Any]:
    """Run a session; its summary, for ``--json``.

    ``program`` is the quantized network, where the caller has it already.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    request.check()
    spec = load_target(request.target)
    check_llvm_knows(spec.processor)
    with session_machines(request, spec, console) as machines:
        return _tune_on(machines, request, spec, console, program)


def _tune_on(
    machines: SessionMachines,
    request: TuneRequest,
    spec: TargetSpec,
    console: Console,
    program: ExportedProgram | None,
) -> dict[str, Any]:
    core = backend_for(spec, spec.threads).core
    folder = writable_log(records_name(spec), request.logs)
    with (
        locked_log(folder) as mended,
        scratch_folder("mqnet-tune-") as scratch,
    ):
        check_is_log_of(folder, read_session(folder), records_name(spec))
        for sentence in mended:
            console.print(sentence, style="yellow", soft_wrap=True)
        cache = user_cache(os.environ)
        kernels = tunable_kernels(request.build, spec, Progress(console), program, cache)
        with session_tools(machines, request, spec, core, scratch, console) as tools:
            plan = SearchPlan(request.trials)
            return tune_kernels(request, spec, kernels, plan, tools, folder, console)


def tune_kernels(
    request: TuneRequest,
    spec: TargetSpec,
    kernels: NetworkKernels,
    plan: SearchPlan,
    tools: SessionResources,
    folder: Path,
    console: Console,
) -> dict[str, Any]:
    """Run a session on ``kernels``; its summary, for ``--json``.

    Args:
        request: whose network the kernels are of.
        spec: target.
        kernels: of the network, or some of them.
        plan: how far the session goes.
        tools: open.
        folder: of the log, which the caller has locked.
        console: that shows how far it is.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    runner, core = tools.runner, backend_for(spec, spec.threads).core
    log = open_session_log(folder, request, spec, runner)
    device = log.session.device
    settled = log.session.settled
    records = RecordWriter(log, core, tvm_target(spec))
    model = CostModel()
    with Progress(console).phase("earlier logs"):
        tell_earlier_logs(model, log, request.logs, console)

    def write_failure(task: KernelTask, choice: str, why: str) -> None:
        log.session.failed.setdefault(task.key, {})[choice] = why
        log.write_session()

    title = f"{folder}: {runner.device['cpu']}"
    if runner.device["emulated"]:
        title += "; no times, but cycles of the target file's model, 1 cycle as 1 ns"
    with shown_session(console, title) as observe:
        session = TuningSession(
            kernels.tasks,
            core,
            tools,
            records,
            model,
            plan,
            log.session.failed,
            log.session.dropped,
            write_failure,
            observe,
            {key: one.confirmed for key, one in log.session.kernels.items() if one.confirmed},
        )
        for state in session.states:
            task, seconds = state.task, settled.get(state.task.key, {}).get(state.default)
            log.session.kernels[task.key] = TunedKernel(
                task.name, task.family, state.default, seconds=seconds
            )
        log.write_session()
        began = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        try:
            session.run()
        finally:
            session.messages += runner.warnings
            _keep_verdicts(session, log)
            log.session.sessions.append(
                FinishedSession(
                    began=began,
                    seconds=round(time.monotonic() - session.started, 1),
                    scheme=request.scheme,
                    attention=request.network.parameters.get("attention", "none"),
                    network=request.network.title,
                    size="x".join(map(str, request.size)),
                    threads=request.threads,
                    trials=session.trials,
                    stopped=session.stopped or "interrupted",
                    frame_seconds=FrameSeconds(session.default_seconds, session.frame_seconds),
                )
            )
            log.write_session()
        if session.dropped:
            records.take_out(session.dropped)
    return {"emulated": runner.device["emulated"]} | _summary(session, kernels, folder, device)


def _keep_verdicts(session: TuningSession, log: TuningLog) -> None:
    kernels = log.session.kernels
    for key, configuration in session.confirmed.items():
        if key in kernels:
            kernels[key] = structs.replace(kernels[key], confirmed=configuration)
    log.session.drop(session.dropped)


def _summary(
    session: TuningSession, kernels: NetworkKernels, folder: Path, device: DeviceFacts
) -> dict[str, Any]:
    return {
        "log": str(folder),
        "device": to_builtins(device),
        "stopped": session.stopped,
        "trials": session.trials,
        "seconds": round(time.monotonic() - session.started, 1),
        "repeated_batches": session.repeated,
        "notes": session.messages,
        "frame_seconds": {"builtin": session.default_seconds, "best": session.frame_seconds},
        "kernels": [
            {
                "name": state.task.name,
                "family": state.task.family,
                "calls": state.task.calls,
                "builtin_seconds": state.seconds.get(state.default),
                "best_seconds": state.best_seconds if state.seconds else None,
                "best": state.best if state.seconds else None,
                "measured": len(state.seconds),
                "failed": len(state.failed),
                "choices": len(state.configurations),
            }
            for state in session.states
        ],
        "built_in_only": kernels.untunable,
    }
