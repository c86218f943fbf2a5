"""Everything that ``compile/tune.py`` does for a session once its options are read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from msgspec import structs, to_builtins
from rich.console import Console
from torch.export import ExportedProgram

from compile.backends.backend_for import backend_for
from compile.build_request import BuildRequest
from compile.kernels.common.core_model import CoreModel
from compile.networks.network import Network
from compile.records.log_folder import (
    check_is_log_of,
    emulated_fingerprint,
    fingerprint,
    locked_log,
    open_log,
    records_name,
)
from compile.records.log_places import find_logs, writable_log
from compile.records.session_file import (
    DeviceFacts,
    FinishedSession,
    FrameSeconds,
    TunedKernel,
    read_session,
)
from compile.records.tuning_log import TuningLog
from compile.records.workload import kernel_of
from compile.search.build_candidates import Builder, CandidateBuilder
from compile.search.cluster_builder import BuildCluster, ClusterBuilder
from compile.search.cost_model import CostModel, kernel_features
from compile.search.expected_results import ExpectedResults
from compile.search.farm import Farm, check_can_be_emulated, open_farm
from compile.search.kernel_task import KernelTask, NetworkKernels
from compile.search.lower_kernels import tunable_kernels
from compile.search.measurer import Measurer, build_reference
from compile.search.record_writer import RecordWriter
from compile.search.show_session import shown_session
from compile.search.tuning_session import SessionResources, TuningSession
from compile.support.build_cache import user_cache
from compile.support.errors import MqnetError, TargetError
from compile.support.progress import Progress
from compile.support.scratch_folder import scratch_folder
from device.emulated.arm64.board_core import board_core
from device.emulated.arm64.emulated_farm import KEY, emulated_farm
from targets.check_llvm import check_llvm_knows
from targets.describe_target import describe_instructions, tvm_target
from targets.load_target import load_target
from targets.spec import TargetSpec


@dataclass(frozen=True)
class TuneRequest:
    """What to tune.

    Attributes:
        target, scheme: by name.
        network: whose kernels are tuned.
        size: (height, width) of the picture in pixels.
        threads: that a kernel is measured with.
        trials: the most candidates.
        logs: folder of the targets' logs; None for the user's own and those that are shipped.
        tracker: HOST:PORT of a TVM tracker, or None to measure on this machine.
        key: of the devices there, or None.
        cooldown: seconds that a device rests before each repetition.
        ndk_compiler: the Android NDK's clang, or None.
        build_workers: tcp://HOST:PORT of a Dask scheduler whose workers build, or None.
        emulated_root: of the emulated board that stands in for the devices, or None.
        recipe: file of rules on top of the scheme, or None.
    """

    target: str
    scheme: str
    network: Network
    size: tuple[int, int]
    threads: int
    trials: int
    logs: Path | None
    tracker: str | None = None
    key: str | None = None
    cooldown: float = 0.0
    ndk_compiler: Path | None = None
    build_workers: str | None = None
    emulated_root: Path | None = None
    recipe: Path | None = None

    def check(self) -> None:
        """Raise MqnetError where options exclude each other or a number is out of its range."""
        if (self.tracker is None) != (self.key is None):
            missing = "--key" if self.key is None else "--tracker"
            raise MqnetError(
                f"{missing} is missing: a device is named by --tracker HOST:PORT and --key KEY"
            )
        if self.emulated_root is not None:
            if self.tracker is not None:
                raise MqnetError("--emulate needs no --tracker: it starts one by itself")
            if self.threads != 1:
                raise MqnetError(
                    f"threads {self.threads} cannot be emulated: instructions are counted for one"
                )
        if self.cooldown < 0:
            raise MqnetError(f"cooldown {self.cooldown:g} is below zero")
        if self.trials < 1:
            raise MqnetError(f"trials {self.trials} is not a positive number")
        if self.threads < 1:
            raise MqnetError(f"threads {self.threads} is not a positive number")
        cores = len(os.sched_getaffinity(0))
        if self.tracker is None and self.threads > cores:
            raise MqnetError(
                f"threads {self.threads} is more than the {cores} cores that this process may use: "
                "ask for fewer"
            )


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
    with ExitStack() as stack:
        cluster = None
        if request.build_workers is not None:
            cluster = stack.enter_context(closing(BuildCluster(request.build_workers)))
        farm = stack.enter_context(_farm(request, spec, console))
        return _tune_on(farm, cluster, request, spec, console, program)


def _tune_on(
    farm: Farm | None,
    cluster: BuildCluster | None,
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
        build = BuildRequest(
            request.target, request.scheme, request.network, request.size, recipe=request.recipe
        )
        cache = user_cache(os.environ)
        kernels = tunable_kernels(build, spec, Progress(console), program, cache)
        with (
            closing(_builder(cluster, request, spec, core, scratch)) as builder,
            closing(ExpectedResults(scratch)) as expected,
        ):
            with Progress(console).phase("reference kernel"):
                reference = build_reference(builder, core)
                measurer = Measurer(spec, farm, reference, expected)
                runner = measurer.open(request.threads)
            with closing(runner):
                last = None
                # On emulated boards figures are always the same.
                if request.emulated_root is None:
                    last = measurer.last_runner(runner, request.threads)
                tools = SessionResources(builder, runner, expected, last)
                return _tune(request, spec, core, kernels, tools, folder, console)


def _tune(
    request: TuneRequest,
    spec: TargetSpec,
    core: CoreModel,
    kernels: NetworkKernels,
    tools: SessionResources,
    folder: Path,
    console: Console,
) -> dict[str, Any]:
    runner = tools.runner
    device = fingerprint(runner.device, version("apache-tvm"))
    if request.emulated_root is not None:
        device = emulated_fingerprint(device, spec)
    instructions = describe_instructions(spec)
    log = open_log(folder, records_name(spec), instructions, device, runner.reference)
    settled = log.session.settled
    records = RecordWriter(log, core, tvm_target(spec))
    model = CostModel()
    with Progress(console).phase("earlier logs"):
        _tell_earlier(model, request.logs, spec, console)

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
            request.trials,
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


def _builder(
    cluster: BuildCluster | None,
    request: TuneRequest,
    spec: TargetSpec,
    core: CoreModel,
    folder: Path,
) -> CandidateBuilder:
    if cluster is not None:
        return ClusterBuilder(cluster, spec, core, folder, request.ndk_compiler)
    cores = len(os.sched_getaffinity(0))
    return Builder(spec, core, folder, cores, request.ndk_compiler)


@contextmanager
def _farm(request: TuneRequest, spec: TargetSpec, console: Console) -> Iterator[Farm | None]:
    """What measures, where it is not this machine."""
    if request.emulated_root is not None:
        check_can_be_emulated(spec)
        core = board_core(spec.processor.cpu)
        boards = len(os.sched_getaffinity(0))
        with ExitStack() as stack:
            with Progress(console).phase(f"{boards} emulated boards start"):
                tracker = stack.enter_context(
                    emulated_farm(request.emulated_root, core, boards, spec.timing)
                )
            yield open_farm(tracker, KEY, 1, 0.0, spec.timing)
    elif request.tracker is not None and request.key is not None:
        yield open_farm(
            request.tracker,
            request.key,
            request.threads,
            request.cooldown,
            on_gpu=spec.gpu is not None,
        )
    else:
        yield None


def _tell_earlier(model: CostModel, logs: Path | None, spec: TargetSpec, console: Console) -> None:
    """Tell what was measured with the same instructions, at any size and on any device, by this
    version of TVM: kernels that another one has written may not be readable."""
    for folder in find_logs(logs):
        try:
            log = TuningLog.read(folder)
        except TargetError as error:
            # Of another target: the session's own was read before.
            console.print(f"not used: {error}", style="yellow", soft_wrap=True)
            continue
        if log.session.device.tvm != version("apache-tvm"):
            continue
        if log.session.instructions != describe_instructions(spec):
            continue
        database = log.database
        for workload in database.workloads:
            key = str(workload[0])
            if (seconds := database.measured(key)) and "" not in seconds:
                model.tell(key, kernel_features(kernel_of(workload)), seconds)


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
