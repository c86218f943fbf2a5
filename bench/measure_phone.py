"""Times the standalone form of builds on a phone through adb, as a latency session."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from bench.engines.engine import Job
from bench.session.environment import describe_repository
from bench.session.interleave import Measured
from bench.session.rows import make_run
from bench.session.run_file import RunFile
from bench.session.worker import Footprint
from compile.artefact.reader import Artefact, open_artefact
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from device.adb.adb import Adb
from device.adb.bench_report import BenchReport, MachineState, hottest
from device.adb.phone_facts import PhoneFacts, read_facts
from device.adb.phones import choose_phone
from device.adb.pushed_program import PushedProgram, pushed_program
from device.adb.standalone_program import check_runs, program_of, read_report, run_or_refuse

_ENGINE = "tvm-standalone"
# Builds take turns, so that whatever the phone does, it does to all of them.
_VISITS = 3
_WARM_UP_SECONDS = 1.0
_COOLING_SECONDS, _MOST_THREAD_COUNTS = 600.0, 16
# What the frames take beyond their time, where one takes seconds.
_SLOW_FRAMES_SECONDS = 300.0


@dataclass(frozen=True)
class PhoneRequest:
    """What to time.

    Attributes:
        artefacts: folders of builds with their standalone form.
        serial: of the phone; None where there is one only.
        cores: that run it: "all", "big", "mid", "little", or numbers such as "4-7".
        threads: per frame, as "1,2,4"; None for 1, 2, 4 and so on up to the build's own number.
        seconds: that each build is measured for with each number of threads.
        cool: degrees Celsius that the phone has to cool down to before each turn; None for any.
        keep: whether the programs stay on the phone.
    """

    artefacts: tuple[Path, ...]
    serial: str | None = None
    cores: str = "all"
    threads: str | None = None
    seconds: float = 10.0
    cool: float | None = None
    keep: bool = False


def measure_phone(
    request: PhoneRequest, adb: Adb, keep: Callable[[RunFile], None], progress: Progress
) -> None:
    """Time everything that ``request`` names, and hand the results to ``keep``: also those of a
    session that is cut short, before the error is raised.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
        KeyboardInterrupt: Ctrl-C.
    """
    if not 0 < request.seconds < inf:
        raise MqnetError(f"seconds {request.seconds:g} is not a positive number")
    folders = dict.fromkeys(Path(os.path.realpath(path)) for path in request.artefacts)
    if not folders:
        raise MqnetError("which build to time is missing: name its folder")
    artefacts = [open_artefact(folder) for folder in folders]
    programs = [program_of(artefact) for artefact in artefacts]
    facts = read_facts(choose_phone(adb, request.serial))
    for program in programs:
        check_runs(facts, program)
    results: dict[tuple[int, int], Measured] = {}
    states: list[MachineState] = []
    later: PhoneFacts | None = None
    with contextlib.ExitStack() as stack:
        with progress.phase("push"):
            pushed = [
                stack.enter_context(pushed_program(facts.phone, program, request.keep))
                for program in programs
            ]
        try:
            for visit in range(_VISITS):
                with progress.phase(f"turn {visit + 1} of {_VISITS}"):
                    for index, one in enumerate(pushed):
                        report = _run(one, request)
                        states += report.before, report.after
                        _add(results, artefacts, index, report, request)
            later = read_facts(facts.phone)
            for result in results.values():
                result.flags = list(dict.fromkeys(facts.flags() + later.flags()))
        except BaseException:
            for result in results.values():
                result.problem = "cut short"
            raise
        finally:
            if results:
                environment = _environment(facts, later, request, states) | describe_repository()
                names = dict.fromkeys(artefact.manifest.network for artefact in artefacts)
                environment |= {"adb": adb.version(), "network": " and ".join(names)}
                keep(make_run([results[place] for place in sorted(results)], environment))


def _run(program: PushedProgram, request: PhoneRequest) -> BenchReport:
    """One turn of a build.

    Raises:
        TargetError: the program refuses, crashes, or prints something else.
    """
    seconds = request.seconds / _VISITS
    options = ["--seconds", f"{seconds:g}", "--warm-up", f"{_WARM_UP_SECONDS:g}"]
    options += ["--cores", request.cores, "--json", "--times"]
    counts = _MOST_THREAD_COUNTS
    if request.threads is not None:
        options += ["--threads", request.threads]
        counts = len(request.threads.split(","))
    longest = counts * (seconds + _WARM_UP_SECONDS) + _SLOW_FRAMES_SECONDS
    if request.cool is not None:
        options += ["--cool", f"{request.cool:g}"]
        longest += _COOLING_SECONDS
    result = run_or_refuse(program, ["bench", *options], longest)
    return read_report(program, result.out, BenchReport)


def _add(
    results: dict[tuple[int, int], Measured],
    artefacts: Sequence[Artefact],
    index: int,
    report: BenchReport,
    request: PhoneRequest,
) -> None:
    """Add a turn of the build of that ``index`` to ``results``, by build and number of threads."""
    for row in report.latency:
        place = index, row.threads
        if place not in results:
            job = _job(artefacts, index, row.threads, request.cores)
            results[place] = Measured(job, artefacts[index].manifest.versions["apache-tvm"])
        results[place].wall.append([milliseconds / 1e3 for milliseconds in row.times_ms])
    first = results[index, report.latency[0].threads]
    if first.footprint is None and report.resident_bytes:
        first.footprint = Footprint(
            peak=report.resident_bytes,
            activations=None,
            start_seconds=report.start_ms / 1e3,
            files=program_of(artefacts[index]).stat().st_size,
            libraries=0,
        )


def _job(artefacts: Sequence[Artefact], index: int, threads: int, cores: str) -> Job:
    artefact = artefacts[index]
    manifest, folder = artefact.manifest, artefact.library.parent
    alike = Counter((other.manifest.scheme, other.size) for other in artefacts)
    labels = [folder.name] if alike[manifest.scheme, artefact.size] > 1 else []
    labels += [f"cores {cores}"] if cores != "all" else []
    return Job(
        _ENGINE,
        manifest.scheme,
        artefact.size,
        threads,
        folder,
        planned_bytes=manifest.whole.activation_bytes,
        weight_bytes=manifest.whole.weight_bytes,
        coverage=manifest.coverage,
        on_gpu=manifest.on_gpu,
        build=", ".join(labels),
        network=manifest.network,
        parameters=manifest.parameters,
    )


def _environment(
    facts: PhoneFacts,
    later: PhoneFacts | None,
    request: PhoneRequest,
    states: Sequence[MachineState],
) -> dict[str, Any]:
    """What a run's file says of the phone, and of its clocks and temperatures meanwhile."""
    return facts.environment() | {
        "sensors_after": {} if later is None else later.state()["sensors"],
        "cores_used": request.cores,
        "celsius_before": states[0].celsius,
        "celsius_hottest": hottest(states),
        "megahertz_before": states[0].megahertz,
        "megahertz_after": states[-1].megahertz,
    }
