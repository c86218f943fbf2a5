"""Ranks candidates by the emulated board's model and by something else."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from torch.export import ExportedProgram

from bench.ranking.candidates import BuiltCandidate, build_some, costly_kernels
from bench.ranking.llvm_mca import block_cycles, find_analyzer
from bench.ranking.ranked import RankedCandidate, Ranking
from compile.backends.backend_for import cpu_core
from compile.build_request import BuildRequest
from compile.search.build_candidates import FUNCTION, Builder
from compile.search.candidate import all_configurations
from compile.search.host_runner import HostRunner
from compile.search.lower_kernels import tunable_kernels
from compile.search.reference_kernel import reference_task
from compile.support.errors import TargetError
from compile.support.progress import Progress
from compile.support.scratch_folder import scratch_folder
from device.emulated.arm64.board_core import board_core
from device.emulated.arm64.count_calls import CallJob, count_calls_as_x86, count_calls_on_board
from targets.detect_host import read_host_machine
from targets.load_target import TARGET_FOLDER, load_target, read_host_file
from targets.spec import TargetSpec
from targets.tables import Positive, Table, convert_table
from targets.timing_model import TimingModel, TimingTable, timing_model

_X86_CORE = Path(__file__).with_name("zen5.toml")
# LLVM has no model of the Cortex-A76's own (it takes the Cortex-A57's): its twin for servers has.
_MODELS = {"cortex-a76": "neoverse-n1"}
# Measured again and again in turns, because a machine's clock changes within seconds.
_TURNS = 5


class _CoreFile(Table, frozen=True):
    l1d_bytes: Positive
    l2_bytes: Positive
    timing: TimingTable


@dataclasses.dataclass(frozen=True)
class RankingRequest:
    """What to rank.

    Attributes:
        size: (height, width) of the picture in pixels.
        kernels: how many of the network.
        candidates: of each.
        emulated_root: of the emulated board.
    """

    size: tuple[int, int]
    kernels: int
    candidates: int
    emulated_root: Path


def rank_against_llvm_mca(
    target: str, request: RankingRequest, phases: Progress, program: ExportedProgram
) -> Ranking:
    """Candidates for ``target``, on the emulated board and by llvm-mca.

    Raises:
        TargetError: a target without ``timing``, no board, or no llvm-mca.
    """
    spec, analyzer = load_target(target), find_analyzer()
    if spec.timing is None:
        raise TargetError(f"targets/{target}.toml has no 'timing' that could be held against it")
    core = spec.processor.cpu
    cpu = _MODELS.get(core, core)
    with _built(spec, request, phases, program) as candidates:
        with phases.phase("count"):
            counted = count_calls_on_board(
                _jobs(candidates), request.emulated_root, board_core(core), spec.timing
            )
        with phases.phase("llvm-mca"):
            rows = []
            for candidate, call in zip(candidates, counted, strict=True):
                # One call before those that are counted, by the evaluator.
                cycles = block_cycles(analyzer, call.blocks, cpu) / (call.counts["calls"] + 1)
                rows.append(_row(target, candidate, spec.timing, call.counts, cycles))
    return Ranking(target, f"cycles of llvm-mca {analyzer.version}, -mcpu={cpu}", rows)


def rank_against_this_machine(
    request: RankingRequest, phases: Progress, program: ExportedProgram
) -> Ranking:
    """Candidates for AVX2, by the same method with a Zen 5's timing, and timed on this machine.

    Raises:
        TargetError: this machine is no x86-64 with AVX2.
    """
    spec, timing = _avx2(), x86_timing()
    with _built(spec, request, phases, program) as candidates:
        with phases.phase("count"):
            counted = count_calls_as_x86(_jobs(candidates), timing)
        with phases.phase("time"):
            seconds = _times(candidates, spec)
    rows = [
        _row("x86-avx2", candidate, timing, call.counts, time * 1e9)
        for candidate, call, time in zip(candidates, counted, seconds, strict=True)
    ]
    return Ranking("x86-avx2", f"nanoseconds on {spec.title}, one thread", rows)


def x86_timing() -> TimingModel:
    """Of the core that the method is held against a clock on."""
    core = convert_table(tomllib.loads(_X86_CORE.read_text()), _CoreFile, _X86_CORE.name)
    return timing_model(core.timing, core.l1d_bytes, core.l2_bytes, _X86_CORE.name)


def _avx2() -> TargetSpec:
    """This machine without AVX-512, which QEMU 7 does not execute."""
    machine = read_host_machine()
    flags = {flag for flag in machine.flags if not flag.startswith(("avx512", "avx_vnni"))}
    spec = read_host_file(
        TARGET_FOLDER / "host.toml", dataclasses.replace(machine, flags=frozenset(flags))
    )
    if spec.variant != "avx2":
        raise TargetError(f"this machine ({spec.variant}) is no x86-64 with AVX2")
    return spec


@contextmanager
def _built(
    spec: TargetSpec, request: RankingRequest, phases: Progress, program: ExportedProgram
) -> Iterator[list[BuiltCandidate]]:
    """Candidates whose libraries are there for a while."""
    build = BuildRequest(spec.name, size=request.size)
    tasks = tunable_kernels(build, spec, phases, program).tasks
    core = cpu_core(spec, 1)
    with scratch_folder("mqnet-ranking-") as folder:
        with closing(Builder(spec, core, folder, 1)) as builder, phases.phase("build"):
            chosen = costly_kernels(tasks, request.kernels)
            candidates = build_some(chosen, builder, core, request.candidates)
        yield candidates


def _jobs(candidates: Sequence[BuiltCandidate]) -> list[CallJob]:
    return [CallJob(one.library, FUNCTION, one.task.arguments.draw()) for one in candidates]


def _times(candidates: Sequence[BuiltCandidate], spec: TargetSpec) -> list[float]:
    """Seconds of a call of each: the median over turns of all candidates of a kernel."""
    task, core = reference_task(), cpu_core(spec, 1)
    with scratch_folder("mqnet-ranking-") as folder:
        with closing(Builder(spec, core, folder, 1)) as builder:
            (build,) = builder.build(
                [(task, all_configurations(task.family, task.load(), core)[0])]
            )
        assert build.library is not None, build.error
        with closing(HostRunner(1, (task.arguments, build.library), spec)) as runner:
            jobs = [(one.task.arguments, one.library) for one in candidates]
            turns = [runner.measure(jobs) for _ in range(_TURNS)]
    return [sorted(one.rank for one in of_job)[_TURNS // 2] for of_job in zip(*turns, strict=True)]


def _row(
    target: str,
    candidate: BuiltCandidate,
    timing: TimingModel,
    counts: Mapping[str, int],
    reference: float,
) -> RankedCandidate:
    task = candidate.task
    return RankedCandidate(
        target,
        task.name,
        task.family,
        candidate.choice,
        timing.cycles_of(counts),
        timing.core_cycles_of(counts),
        counts["instructions"],
        reference,
    )
