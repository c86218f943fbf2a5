"""A tuning session: measure the default configurations, then whatever promises most, until little
does.

The next batch always goes to the kernel where it can be expected to save most of a frame: calls
times seconds times the part of them that its last batches have saved. Within a kernel, the cost
model ranks. Whatever is measured is recorded at once, so a session that ends at any moment has lost
nothing but the batch that it was at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from compile.kernels.common.core_model import CoreModel
from compile.records.session_file import SESSION
from compile.search.build_candidates import CandidateBuilder
from compile.search.candidate import all_configurations
from compile.search.cost_model import CostModel, kernel_features
from compile.search.expected_results import ExpectedResults
from compile.search.kernel_task import KernelTask
from compile.search.last_round import last_round
from compile.search.runner import Measurement, Runner
from compile.search.steady_runner import SteadyRunner
from compile.search.task_state import TaskState
from compile.support.errors import TargetError

# The model learns behind each batch: of larger ones it chooses with less knowledge.
_BATCH = 8
# Where fewer candidates fail, all of them may be bad ones: as the last ones of a space.
_LEAST_TO_BLAME = 4


@dataclass(frozen=True)
class SessionResources:
    """What a session works with; whoever makes them closes them.

    Attributes:
        builder, runner, expected: see their classes.
        last_runner: opens what measures the last round; None: there is none, as where a candidate
            measures the same every time.
    """

    builder: CandidateBuilder
    runner: Runner
    expected: ExpectedResults
    last_runner: Callable[[], AbstractContextManager[Runner]] | None = None


@dataclass(frozen=True)
class SearchPlan:
    """How far a session goes.

    Attributes:
        trials: the most candidates.
        least_gain: the session ends where no batch can be expected to save more than this part of
            a frame; 0: it tries everything.
        seed: of what is drawn at random.
    """

    trials: int
    least_gain: float = 0.01
    seed: int = 0


class Records(Protocol):
    """What was measured, and what takes up what is."""

    def known(self, task: KernelTask) -> dict[str, float]:
        """Seconds of the configurations of ``task`` that were measured before."""

    def add(self, task: KernelTask, choice: str, seconds: tuple[float, ...]) -> None:
        """Record a candidate; it is kept when this returns."""


#: Called with the session behind every batch, for a table.
Observer = Callable[["TuningSession"], None]

#: Called with a kernel, a configuration and why it failed, to be remembered.
FailureWriter = Callable[[KernelTask, str, str], None]


class TuningSession:
    """The state of a session.

    Attributes:
        states: of the kernels.
        trials: candidates tried, failed ones too.
        plan: how far it goes.
        messages: what went wrong and was dealt with, in sentences.
        dropped: by kernel, configurations that the last round has found to be no better: to be
            taken out of the log.
        stopped: why the session ended: "gain", "trials", "space" or "failures"; "" while it runs.
        started: of the clock :func:`time.monotonic`.
        confirmed: by kernel, the configuration that won its last round, in this session or before.
    """

    def __init__(
        self,
        tasks: Sequence[KernelTask],
        core: CoreModel,
        tools: SessionResources,
        records: Records,
        model: CostModel,
        plan: SearchPlan,
        failed: Mapping[str, Mapping[str, str]],
        dropped: Mapping[str, Sequence[str]],
        write_failure: FailureWriter,
        observe: Observer = lambda session: None,
        confirmed: Mapping[str, str] | None = None,
    ) -> None:
        self._tools, self._records, self._model = tools, records, model
        self._observe, self._write_failure = observe, write_failure
        self._random = Random(plan.seed)
        self.plan, self.trials = plan, 0
        self.messages: list[str] = []
        self._steady = SteadyRunner(tools.runner, self.messages.append)
        self.dropped: dict[str, list[str]] = {}
        self.stopped = ""
        self.started = time.monotonic()
        self._any_ran = False
        self.confirmed = dict(confirmed or {})
        self.states = []
        for task in tasks:
            default, configurations = all_configurations(task.family, task.load(), core)
            measured = records.known(task)
            known = {
                configuration: seconds
                for configuration, seconds in measured.items()
                if configuration in configurations
            }
            features = kernel_features(task.load())
            failures = dict(failed.get(task.key, {}))
            slow = set(dropped.get(task.key, ()))
            left = [
                configuration
                for configuration in configurations
                if configuration not in slow or configuration == default
            ]
            state = TaskState(task, features, default, left, known, failures)
            if default in failures:
                state.broken = failures[default]
            self.states.append(state)
            model.tell(task.key, features, known)
        model.learn()

    def run(self) -> None:
        """Until no gain is to be expected, all trials are spent, or everything was tried.

        Raises:
            OutputError: a record cannot be written.
            TargetError: nothing could be measured, and why not.
        """
        try:
            self._search()
        finally:
            # Also of one that was interrupted within its first batch.
            if any(state.seconds for state in self.states):
                self._observe(self)

    def _search(self) -> None:
        unmeasured = [s for s in self.states if s.default not in s.seconds and not s.broken]
        # All of a frame has to be known before it can be said where most is to be gained.
        for begin in range(0, len(unmeasured), _BATCH):
            count = min(_BATCH, self.plan.trials - self.trials)
            some = unmeasured[begin : begin + count]
            if not some:
                break
            self._try([(state, state.default) for state in some])
        while not self.stopped:
            self._step()
        self._check_any_is_known()
        if self._tools.last_runner is not None:
            self._last_round(self._tools.last_runner)

    @property
    def repeated(self) -> int:
        """Batches measured again because the reference kernel had drifted."""
        return self._steady.repeated

    @property
    def frame_seconds(self) -> float:
        """Of all kernels that are tuned, with the best configurations so far."""
        return sum(state.frame_seconds for state in self.states)

    @property
    def default_seconds(self) -> float:
        """The same with the default configurations."""
        return sum(state.frame_seconds * state.gain for state in self.states)

    def _last_round(self, open_runner: Callable[[], AbstractContextManager[Runner]]) -> None:
        """Keep nothing that does not beat the default configuration in turns with it."""
        states = [
            state
            for state in self.states
            if state.default in state.seconds
            and state.best not in (state.default, self.confirmed.get(state.task.key))
        ]
        if not states:
            return
        with open_runner() as runner:
            verdicts = last_round(states, self._tools.builder, runner)
        for verdict in verdicts:
            key = verdict.state.task.key
            self.confirmed[key] = verdict.winner
            for configuration in verdict.unproven:
                del verdict.state.seconds[configuration]
                self.dropped.setdefault(key, []).append(configuration)
        lost = sum(verdict.winner == verdict.state.default for verdict in verdicts)
        self.messages.append(
            f"last round: of {len(verdicts)} kernels with a faster candidate, {lost} keep the "
            "default configuration, which is as fast in turns with it"
        )

    def _step(self) -> None:
        state = max(self.states, key=lambda state: state.expected_gain, default=None)
        if state is None or not state.expected_gain:
            self.stopped = "space"
        elif self.trials >= self.plan.trials:
            self.stopped = "trials"
        elif sum(s.expected_gain for s in self.states) < self.plan.least_gain * self.frame_seconds:
            self.stopped = "gain"
        else:
            count = min(_BATCH, self.plan.trials - self.trials)
            before = state.best_seconds
            batch = state.next_batch(count, self._model, self._random)
            self._try([(state, configuration) for configuration in batch])
            state.learn_from_batch(before)
            self._model.learn()

    def _try(self, candidates: list[tuple[TaskState, str]]) -> None:
        """Build, measure and record.

        Raises:
            TargetError: none of the first batch could be built and run, so none of them is to
                blame: nothing is remembered of them.
        """
        builds = self._tools.builder.build(
            [(state.task, configuration) for state, configuration in candidates]
        )
        built, failures = [], []
        for (state, configuration), build in zip(candidates, builds, strict=True):
            self.trials += 1
            state.trials += 1
            if build.library is None:
                failures.append((state, configuration, build.error))
            else:
                built.append((state, configuration, build.library))
        jobs = [(state.task.arguments, library) for state, _, library in built]
        measurements = self._steady.measure(jobs)
        timed = sorted(zip(built, measurements, strict=True), key=lambda pair: pair[1].rank)
        failures += [
            (*one[:2], measurement.error) for one, measurement in timed if measurement.error
        ]
        self._check_any_runs(len(candidates), failures)
        for failure in failures:
            self._fail(*failure)
        for (state, configuration, library), measurement in timed:
            if not measurement.error:
                self._take(state, configuration, library, measurement)
            library.unlink()
        self._observe(self)

    def _check_any_runs(self, tried: int, failures: Sequence[tuple[TaskState, str, str]]) -> None:
        if len(failures) < tried:
            self._any_ran = True
        if self._any_ran or tried < _LEAST_TO_BLAME:
            return
        self.stopped = "failures"
        state, configuration, why = failures[0]
        raise TargetError(
            f"nothing was measured: each of the {tried} candidates that were tried first failed, "
            f"as {state.task.name} ({configuration}): {why}; mend that, and start the same command "
            "again"
        )

    def _check_any_is_known(self) -> None:
        if any(state.seconds for state in self.states):
            return
        self.stopped = "failures"
        state = next((state for state in self.states if state.broken), None)
        why = "there is no kernel to tune" if state is None else f"{state.task.name} {state.broken}"
        raise TargetError(
            f"nothing was measured of {len(self.states)} kernels ({why}): mend that, and remove "
            f"the target's {SESSION}, which remembers what has failed"
        )

    def _take(
        self, state: TaskState, configuration: str, library: Path, measurement: Measurement
    ) -> None:
        """Record a measured candidate, a new best one only after a second look."""
        seconds = measurement.seconds
        if not state.seconds or measurement.mean < state.best_seconds:
            job = state.task.arguments, library
            # Of many measurements, the best is likely to have been a lucky one.
            (again,) = self._tools.runner.measure([job])
            wrong = again.error or self._tools.runner.check(
                *job, self._tools.expected.of(state.task)
            )
            if wrong:
                self._fail(state, configuration, wrong)
                return
            seconds = max(measurement, again, key=lambda one: one.mean).seconds
        self._records.add(state.task, configuration, seconds)
        state.seconds[configuration] = sum(seconds) / len(seconds)
        self._model.tell(
            state.task.key, state.features, {configuration: state.seconds[configuration]}
        )

    def _fail(self, state: TaskState, configuration: str, why: str) -> None:
        state.failed[configuration] = why
        self._write_failure(state.task, configuration, why)
        if configuration == state.default:
            state.broken = why
            self.messages.append(
                f"{state.task.name} is left alone: its default configuration {why}"
            )
