"""The search, on a device that is a formula: what it finds, what it refuses, and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.search import steady_runner
from compile.search.build_candidates import Build
from compile.search.candidate import all_configurations, configuration_numbers
from compile.search.cost_model import CostModel
from compile.search.kernel_task import KernelTask, TaskArguments, kernel_task
from compile.search.runner import Measurement
from compile.search.show_session import session_table
from compile.search.tuning_session import SearchPlan, SessionResources, TuningSession
from compile.support.errors import TargetError

UNIT = CpuCore(256, 32, 2)


def conv(width: int, calls: int = 1) -> KernelTask:
    epilogue = ConvEpilogue(EpilogueKind.BIAS)
    kernel = create_pointwise((1, 8, width, 5), 256, "float32", "float32", epilogue)
    return kernel_task(f"conv{width}", "pointwise", kernel, 3, calls)


def formula(key: str, configuration: str) -> float:
    """Best where six pixels by two vectors are."""
    numbers = configuration_numbers(configuration)
    away = abs(numbers["pixels"] - 6) + abs(numbers["vectors"] - 2) + (numbers["lanes"] != 8)
    return 1e-3 * (1 + 0.05 * away)


@dataclass
class Device:
    """Stands for the builder, the runner, the expected results and the records at once."""

    folder: Path
    lies_about: frozenset[str] = frozenset()
    breaks: frozenset[str] = frozenset()
    crashes: frozenset[str] = frozenset()
    references: list[float] = field(default_factory=list)
    slowdown: float = 1.0
    lucky: dict[str, float] = field(default_factory=dict)
    flat: bool = False
    tried: list[tuple[str, str]] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)
    recorded: dict[tuple[str, str], float] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _libraries: dict[Path, str] = field(default_factory=dict)

    def build(self, candidates: Sequence[tuple[KernelTask, str]]) -> list[Build]:
        builds = []
        for task, configuration in candidates:
            self.tried.append((task.name, configuration))
            path = self.folder / f"{len(self._libraries)}.so"
            path.touch()
            self._libraries[path] = configuration
            broken = configuration in self.breaks
            builds.append(Build(None, "does not build") if broken else Build(path))
        return builds

    def measure(self, jobs: Sequence[tuple[TaskArguments, Path]]) -> list[Measurement]:
        found = []
        for arguments, library in jobs:
            configuration = self._libraries[library]
            self.measured.append(configuration)
            seconds = 1e-3 if self.flat else formula(arguments.key, configuration)
            # The search's two measurements of a candidate that it takes for the best.
            is_lucky = self.measured.count(configuration) <= 2
            seconds *= self.slowdown * (self.lucky.get(configuration, 1.0) if is_lucky else 1.0)
            crashed = configuration in self.crashes
            found.append(Measurement(error="crashed") if crashed else Measurement((seconds,)))
        return found

    def check(self, arguments: TaskArguments, library: Path, expected: Path) -> str:
        return "3 of 4 numbers are wrong" if self._libraries[library] in self.lies_about else ""

    def reference(self) -> float:
        return self.references.pop(0) if self.references else 1e-4

    def of(self, task: KernelTask) -> Path:
        return self.folder / "expected"

    def measured_of(self, key: str) -> dict[str, float]:
        return {
            configuration: s
            for (kernel, configuration), s in self.recorded.items()
            if kernel == key
        }

    def add(self, task: KernelTask, configuration: str, seconds: tuple[float, ...]) -> None:
        assert (task.key, configuration) not in self.recorded
        self.recorded[task.key, configuration] = seconds[0]

    def fail(self, task: KernelTask, configuration: str, why: str) -> None:
        self.failures.setdefault(task.key, {})[configuration] = why


@dataclass
class Records:
    """The records' face of :class:`Device`, whose name for it is taken."""

    device: Device

    def known(self, task: KernelTask) -> dict[str, float]:
        return self.device.measured_of(task.key)

    def add(self, task: KernelTask, configuration: str, seconds: tuple[float, ...]) -> None:
        self.device.add(task, configuration, seconds)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady_runner, "_SECONDS_TO_CALM", 0.0)


def session(
    device: Device,
    tasks: Sequence[KernelTask],
    trials: int = 1000,
    has_last_round: bool = False,
    confirmed: dict[str, str] | None = None,
) -> TuningSession:
    last_runner = (lambda: nullcontext(device)) if has_last_round else None
    tools = SessionResources(device, device, device, last_runner)
    records, model = Records(device), CostModel()
    made = TuningSession(
        *(tasks, UNIT, tools, records, model, SearchPlan(trials), device.failures, {}, device.fail),
        confirmed=confirmed,
    )
    made.run()
    return made


def default(task: KernelTask) -> str:
    return all_configurations(task.family, task.load(), UNIT)[0]


def test_finds_the_best_of_a_space(tmp_path: Path) -> None:
    device, task = Device(tmp_path), conv(24)
    found = session(device, [task])
    (state,) = found.states
    best = min(state.configurations, key=lambda configuration: formula(task.key, configuration))
    assert state.seconds[best] == state.best_seconds
    assert found.stopped in ("gain", "space")
    assert state.gain > 1
    assert found.default_seconds / found.frame_seconds == pytest.approx(state.gain)
    assert device.tried[0] == (task.name, default(task))
    assert len(set(device.tried)) == len(device.tried) == found.trials
    assert not list(tmp_path.glob("*.so")), "libraries are not kept"


def test_trials_go_where_a_frame_spends_its_time(tmp_path: Path) -> None:
    often, once = conv(24, calls=50), conv(48)
    found = session(Device(tmp_path), [once, often], trials=40)
    assert found.stopped == "trials" and found.trials == 40
    trials = {state.task.name: state.trials for state in found.states}
    assert trials["conv24"] > 2 * trials["conv48"]


def test_ends_where_little_is_to_be_gained(tmp_path: Path) -> None:
    """Fewer trials than configurations, on a kernel whose default configuration cannot be
    beaten."""
    task = conv(240)
    fast = formula(task.key, default(task)) / 2
    device = Device(tmp_path)
    device.recorded[task.key, default(task)] = fast
    found = session(device, [task])
    assert found.stopped == "gain"
    assert found.states[0].best == default(task)
    assert found.trials < len(found.states[0].configurations)


def test_goes_on_where_another_session_stopped(tmp_path: Path) -> None:
    device, tasks = Device(tmp_path), [conv(24), conv(48)]
    first = session(device, tasks, trials=20)
    assert first.stopped == "trials"
    before = list(device.tried)
    session(device, tasks)
    assert device.tried[: len(before)] == before
    assert len(set(device.tried)) == len(device.tried), "nothing is tried twice"


def test_new_best_is_measured_twice(tmp_path: Path) -> None:
    device, task = Device(tmp_path), conv(24)
    session(device, [task])
    best = min(device.recorded, key=device.recorded.__getitem__)[1]
    assert device.measured.count(best) == 2


def test_wrong_results_do_not_count(tmp_path: Path) -> None:
    task = conv(24)
    best = session(Device(tmp_path), [task]).states[0].best
    device = Device(tmp_path, lies_about=frozenset({best}))
    found = session(device, [task])
    assert (task.key, best) not in device.recorded
    assert device.failures[task.key] == {best: "3 of 4 numbers are wrong"}
    assert found.states[0].best != best
    # Another session believes it no more.
    count = len(device.tried)
    session(device, [task])
    assert (task.name, best) not in device.tried[count:]


def test_bad_candidates_are_remembered(tmp_path: Path) -> None:
    task = conv(24)
    configurations = all_configurations(task.family, task.load(), UNIT)[1]
    device = Device(
        tmp_path, breaks=frozenset(configurations[1::3]), crashes=frozenset(configurations[2::3])
    )
    found = session(device, [task])
    failed = device.failures[task.key]
    assert failed and set(failed.values()) == {"does not build", "crashed"}
    assert not set(failed) & {configuration for _, configuration in device.recorded}
    assert len(failed) == len(found.states[0].failed)


def test_kernel_whose_default_configuration_is_wrong_is_left_alone(tmp_path: Path) -> None:
    bad, good = conv(24), conv(21)
    assert default(bad) != default(good)
    device = Device(tmp_path, lies_about=frozenset({default(bad)}))
    found = session(device, [bad, good])
    assert not device.measured_of(bad.key) and device.measured_of(good.key)
    (message,) = found.messages
    assert message.startswith(
        "conv24 is left alone: its default configuration 3 of 4 numbers are wrong"
    )
    # And in the next session.
    count = len(device.tried)
    again = session(device, [bad, good])
    assert "conv24" not in {name for name, _ in device.tried[count:]}
    assert again.states[0].broken


@pytest.mark.parametrize("way", ["breaks", "crashes"])
def test_session_in_which_nothing_runs(tmp_path: Path, way: str) -> None:
    """The linker or the device is to blame and no candidate: nothing is remembered of them."""
    tasks = [conv(width) for width in (16, 20, 24, 28)]
    everything = frozenset(
        configuration
        for task in tasks
        for configuration in all_configurations(task.family, task.load(), UNIT)[1]
    )
    device = Device(tmp_path, **{way: everything})
    with pytest.raises(TargetError, match=r"nothing was measured: each of the 4 .* conv16 \("):
        session(device, tasks)
    assert len(device.tried) == 4 and device.failures == {}
    # Also where another session has measured some: what is left to be tried is not used up.
    device = Device(tmp_path)
    session(device, tasks[:1], trials=8)
    broken = Device(tmp_path, recorded=device.recorded, **{way: everything})
    with pytest.raises(TargetError, match="nothing was measured"):
        session(broken, tasks[:1])
    assert broken.failures == {}


def test_session_that_knows_nothing_in_the_end(tmp_path: Path) -> None:
    task = conv(24)
    device = Device(tmp_path, lies_about=frozenset({default(task)}))
    for _ in range(2):
        with pytest.raises(TargetError, match=r"of 1 kernels \(conv24 3 of 4 .* session\.json"):
            session(device, [task])


def test_batch_is_measured_again_where_the_device_has_changed(tmp_path: Path) -> None:
    device = Device(tmp_path, references=[1e-4, 1.2e-4])
    found = session(device, [conv(24)], trials=20)
    assert found.repeated == 1 and not found.messages
    assert len(device.measured) > len(device.tried)


def test_device_that_stays_changed_is_said(tmp_path: Path) -> None:
    device = Device(tmp_path, references=[1e-4] + [1.2e-4] * 100)
    found = session(device, [conv(24)], trials=40)
    assert found.repeated == 1
    assert found.messages == [
        "the device's speed has changed by -20%: times before and after differ by that"
    ]


def test_session_ends_where_no_gain_is_to_be_expected(tmp_path: Path) -> None:
    """Not where everything was tried: all of it takes equally long."""
    device = Device(tmp_path, flat=True)
    found = session(device, [conv(240)])
    (state,) = found.states
    assert found.stopped == "gain"
    assert found.trials < len(state.configurations)
    table = session_table(found, "x", 5)
    assert "ended: no batch can be expected to save 1 % of a frame" in table.caption


def test_last_round_keeps_what_is_faster_in_turns(tmp_path: Path) -> None:
    device, task = Device(tmp_path), conv(24)
    found = session(device, [task], has_last_round=True)
    (state,) = found.states
    assert state.best != state.default and not found.dropped
    assert found.confirmed == {task.key: state.best}
    turns = device.measured[-15:]
    assert turns == turns[:3] * 5 and turns[:2] == [state.default, state.best]
    assert "of 1 kernels with a faster candidate, 0 keep" in found.messages[-1]
    assert not list(tmp_path.glob("*.so")), "libraries are not kept"


def test_last_round_drops_what_was_measured_at_a_lucky_moment(tmp_path: Path) -> None:
    task = conv(24)
    configurations = all_configurations(task.family, task.load(), UNIT)[1]
    lucky = configurations[-1]
    others = frozenset(configurations) - {lucky, default(task)}
    device = Device(tmp_path, flat=True, lucky={lucky: 0.5}, breaks=others)
    without = session(device, [task])
    assert without.states[0].best == lucky
    device = Device(tmp_path, flat=True, lucky={lucky: 0.5}, breaks=others)
    found = session(device, [task], has_last_round=True)
    (state,) = found.states
    assert state.best == state.default and state.gain == 1
    assert found.dropped == {task.key: [lucky]}
    assert found.confirmed == {task.key: state.default}
    assert "1 keep the default configuration" in found.messages[-1]


def test_last_round_never_drops_the_default_configuration(tmp_path: Path) -> None:
    """Which the search measured at a lucky moment, and which loses in turns to one that the search
    took for slower: the log tells no time of a kernel without it."""
    task = conv(24)
    configurations = all_configurations(task.family, task.load(), UNIT)[1]
    lucky, fast = configurations[-2:]
    usual = default(task)

    class Faster(Device):
        def measure(self, jobs: Sequence[tuple[TaskArguments, Path]]) -> list[Measurement]:
            return [
                Measurement((0.9 * one.mean,)) if self._libraries[library] == fast else one
                for (_, library), one in zip(jobs, super().measure(jobs), strict=True)
            ]

    others = frozenset(configurations) - {lucky, fast, usual}
    device = Faster(tmp_path, flat=True, lucky={usual: 0.7, lucky: 0.5}, breaks=others)
    found = session(device, [task], has_last_round=True)
    (state,) = found.states
    assert state.best == state.default == usual
    assert found.dropped == {task.key: [lucky]} and fast in state.seconds


def test_last_round_is_held_once(tmp_path: Path) -> None:
    device, task = Device(tmp_path), conv(24)
    first = session(device, [task], has_last_round=True)
    count = len(device.measured)
    again = session(device, [task], has_last_round=True, confirmed=first.confirmed)
    assert again.states[0].best == first.states[0].best
    assert not again.messages and len(device.measured) - count == again.trials


def test_interrupted_within_the_first_batch(tmp_path: Path) -> None:
    """What was recorded is shown, though no batch has come to its end."""

    class Interrupted(Device):
        def add(self, task: KernelTask, configuration: str, seconds: tuple[float, ...]) -> None:
            super().add(task, configuration, seconds)
            if len(self.recorded) == 2:
                raise KeyboardInterrupt

    device, seen = Interrupted(tmp_path), []
    tools = SessionResources(device, device, device)
    its = TuningSession(
        *([conv(8), conv(16)], UNIT, tools, Records(device), CostModel(), SearchPlan(100)),
        *({}, {}, device.fail, seen.append),
    )
    with pytest.raises(KeyboardInterrupt):
        its.run()
    assert seen == [its] and its.frame_seconds > 0
