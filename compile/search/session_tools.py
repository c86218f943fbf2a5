"""Opens what a session builds and measures candidates with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from compile.kernels.common.core_model import CoreModel
from compile.search.build_candidates import Builder, CandidateBuilder
from compile.search.cluster_builder import BuildCluster, ClusterBuilder
from compile.search.expected_results import ExpectedResults
from compile.search.farm import Farm, check_can_be_emulated, open_farm
from compile.search.measurer import Measurer, build_reference
from compile.search.tune_request import TuneRequest
from compile.search.tuning_session import SessionResources
from compile.support.progress import Progress
from device.emulated.arm64.board_core import board_core
from device.emulated.arm64.emulated_farm import KEY, emulated_farm
from targets.spec import TargetSpec


@dataclass(frozen=True)
class SessionMachines:
    """Where candidates are built and measured.

    Attributes:
        cluster: builds them; None: this machine.
        farm: measures them; None: this machine.
    """

    cluster: BuildCluster | None
    farm: Farm | None


@contextmanager
def session_machines(
    request: TuneRequest, spec: TargetSpec, console: Console
) -> Iterator[SessionMachines]:
    """Reach the machines that ``request`` names, or start the emulated boards.

    Raises:
        TargetError: one of them cannot be reached or used.
    """
    with ExitStack() as stack:
        cluster = None
        if request.build_workers is not None:
            cluster = stack.enter_context(closing(BuildCluster(request.build_workers)))
        yield SessionMachines(cluster, stack.enter_context(_farm(request, spec, console)))


@contextmanager
def session_tools(
    machines: SessionMachines,
    request: TuneRequest,
    spec: TargetSpec,
    core: CoreModel,
    scratch: Path,
    console: Console,
) -> Iterator[SessionResources]:
    """Open what builds into the folder ``scratch``, and what measures.

    Raises:
        TargetError: nothing can be built or measured.
    """
    with (
        closing(_builder(machines.cluster, request, spec, core, scratch)) as builder,
        closing(ExpectedResults(scratch)) as expected,
    ):
        with Progress(console).phase("reference kernel"):
            reference = build_reference(builder, core)
            measurer = Measurer(spec, machines.farm, reference, expected)
            runner = measurer.open(request.threads)
        with closing(runner):
            last = None
            # On emulated boards figures are always the same.
            if request.emulated_root is None:
                last = measurer.last_runner(runner, request.threads)
            yield SessionResources(builder, runner, expected, last)


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
