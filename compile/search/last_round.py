"""The end of a session: what the search liked best, and the default configuration, measured in
turns.

Of hundreds of candidates the fastest is likely to have been measured at a lucky moment, on one
thread, minutes after the default configuration. So here a kernel's contestants follow each other
again and again, on as many threads as builds for the target use, and one that does not beat the
default configuration both there and in the search is not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from compile.search.build_candidates import CandidateBuilder
from compile.search.runner import Runner
from compile.search.task_state import TaskState

# Beside the default configuration.
_CONTESTANTS = 2
_TURNS = 5
# Part of the default configuration's time by which another one has to be faster.
_LEAST_GAIN = 0.01


@dataclass(frozen=True)
class Verdict:
    """On one kernel.

    Attributes:
        state: of the kernel.
        winner: the configuration to be used.
        unproven: configurations that are faster than it by the search's measurements only.
    """

    state: TaskState
    winner: str
    unproven: list[str]


def last_round(
    states: Sequence[TaskState], builder: CandidateBuilder, runner: Runner
) -> list[Verdict]:
    """A verdict on each kernel; none where its default configuration can no longer be measured."""
    candidates = [
        (state, configuration) for state in states for configuration in _contestants(state)
    ]
    builds = builder.build([(state.task, configuration) for state, configuration in candidates])
    libraries: dict[str, dict[str, Path]] = {state.task.key: {} for state in states}
    for (state, configuration), build in zip(candidates, builds, strict=True):
        if build.library is not None:
            libraries[state.task.key][configuration] = build.library
    verdicts = []
    for state in states:
        built = libraries[state.task.key]
        seconds = _in_turns(state, built, runner)
        for library in built.values():
            library.unlink()
        if state.default in seconds:
            verdicts.append(_verdict(state, seconds))
    return verdicts


def _contestants(state: TaskState) -> list[str]:
    others = sorted(
        (c for c in state.seconds if c != state.default), key=lambda c: state.seconds[c]
    )
    return [state.default, *others[:_CONTESTANTS]]


def _in_turns(state: TaskState, libraries: dict[str, Path], runner: Runner) -> dict[str, float]:
    """Median seconds of each configuration that never failed."""
    configurations = list(libraries)
    jobs = [(state.task.arguments, libraries[configuration]) for configuration in configurations]
    found = runner.measure(jobs * _TURNS)
    by_configuration = {
        configuration: found[place :: len(configurations)]
        for place, configuration in enumerate(configurations)
    }
    return {
        configuration: median(one.mean for one in measurements)
        for configuration, measurements in by_configuration.items()
        if not any(one.error for one in measurements)
    }


def _verdict(state: TaskState, seconds: dict[str, float]) -> Verdict:
    # By the search's measurements, too: what is faster than the winner there is dropped, and all
    # that is said of a kernel needs its default configuration's time.
    default = state.seconds[state.default]
    eligible = [c for c in seconds if c == state.default or state.seconds[c] < default]
    winner = min(eligible, key=seconds.__getitem__)
    if seconds[winner] > seconds[state.default] * (1 - _LEAST_GAIN):
        winner = state.default
    limit = state.seconds[winner]
    unproven = [c for c, measured in state.seconds.items() if c != winner and measured <= limit]
    return Verdict(state, winner, unproven)
