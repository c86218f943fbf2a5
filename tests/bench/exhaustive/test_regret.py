"""How far from the best a search is: on tables whose best is known, and on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.exhaustive import find_regret as module
from bench.exhaustive.find_regret import find_regret
from bench.exhaustive.generic_search import GenericResult
from bench.exhaustive.measured_space import MeasuredSpace
from bench.exhaustive.regret_request import RegretRequest
from bench.exhaustive.regret_rows import (
    ALL_KERNELS,
    RegretRow,
    generic_row,
    regret_after,
    summarize,
)
from bench.exhaustive.replay_session import replay_session
from bench.exhaustive.turns_runner import TurnsRunner
from bench.exhaustive.write_regret import print_regret, write_regret
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.kernels.cpu.planar.planar_pointwise import create_planar_pointwise
from compile.networks.registry import find_network
from compile.search.candidate import all_configurations, configuration_numbers
from compile.search.cost_model import CostModel, kernel_features
from compile.search.kernel_task import KernelTask, NetworkKernels, kernel_task
from compile.search.runner import Measurement
from compile.search.tune_request import TuneRequest
from compile.search.tuning_session import SearchPlan
from compile.support.errors import MqnetError

UNIT = CpuCore(256, 32, 2)


def conv(width: int, calls: int = 1) -> KernelTask:
    epilogue = ConvEpilogue(EpilogueKind.BIAS)
    kernel = create_pointwise((1, 8, width, 5), 256, "float32", "float32", epilogue)
    return kernel_task(f"conv{width}", "pointwise", kernel, 3, calls)


def space(task: KernelTask, failing: int = 0) -> MeasuredSpace:
    """Best where six pixels by two vectors are; the last ``failing`` configurations fail."""
    default, configurations = all_configurations(task.family, task.load(), UNIT)
    broken = [one for one in configurations if one != default][-failing:] if failing else []
    seconds = {}
    for one in configurations:
        numbers = configuration_numbers(one)
        away = abs(numbers["pixels"] - 6) + abs(numbers["vectors"] - 2) + (numbers["lanes"] != 8)
        seconds[one] = 1e-3 * (1 + 0.05 * away)
    right = {one: time for one, time in seconds.items() if one not in broken}
    return MeasuredSpace(task, default, right, dict.fromkeys(broken, "does not build"))


def test_a_session_on_a_table(tmp_path: Path) -> None:
    its = space(conv(24), failing=5)
    frames = replay_session([its], UNIT, CostModel(), SearchPlan(40), tmp_path)
    assert frames[0] == its.seconds[its.default]
    assert frames == sorted(frames, reverse=True) and 16 < len(frames) <= 40
    assert frames[-1] < frames[0] and frames[-1] >= its.best_seconds
    again = replay_session([its], UNIT, CostModel(), SearchPlan(40), tmp_path)
    other = replay_session([its], UNIT, CostModel(), SearchPlan(40, seed=1), tmp_path)
    assert again == frames != other


def test_everything_is_tried_where_no_gain_is_asked_for(tmp_path: Path) -> None:
    its = space(conv(24), failing=5)
    frames = replay_session([its], UNIT, CostModel(), SearchPlan(10**6, least_gain=0), tmp_path)
    assert len(frames) == its.size and frames[-1] == its.best_seconds


def test_a_frame_is_known_when_each_kernel_is(tmp_path: Path) -> None:
    spaces = [space(conv(24)), space(conv(8, calls=3))]
    frames = replay_session(spaces, UNIT, CostModel(), SearchPlan(30), tmp_path)
    assert frames[0] == float("inf")
    assert frames[1] == pytest.approx(sum(s.task.calls * s.seconds[s.default] for s in spaces))


def test_a_model_that_knows_begins_better(tmp_path: Path) -> None:
    """One that was told the times of the same kernel at another size."""
    its, other, model = space(conv(24)), space(conv(48)), CostModel()
    model.tell(other.task.key, kernel_features(other.task.load()), other.seconds)
    cold = replay_session([its], UNIT, CostModel(), SearchPlan(10), tmp_path)
    warm = replay_session([its], UNIT, model, SearchPlan(10), tmp_path)
    assert regret_after(warm, its.best_seconds, 10) < regret_after(cold, its.best_seconds, 10)


def test_regret_by_hand() -> None:
    frames = [4.0, 3.0, 2.5]
    assert regret_after(frames, 2.0, 1) == 1.0
    assert regret_after(frames, 2.0, 2) == 0.5
    # A search that has ended stays where it is.
    assert regret_after(frames, 2.0, 100) == 0.25
    assert regret_after([], 2.0, 10) == float("inf")


def test_summary() -> None:
    rows = [
        RegretRow("cold", "a", "conv", 9, {10: (0.1, 0.3), 50: (0.0, 0.0)}),
        RegretRow("cold", "b", "conv", 9, {10: (0.2, 0.2), 50: (0.0, 0.02)}),
        RegretRow("cold", ALL_KERNELS, "", 18, {10: (9.0, 9.0), 50: (9.0, 9.0)}),
    ]
    ten, fifty = summarize(rows)
    assert (ten.trials, ten.median, ten.worst) == (10, pytest.approx(0.2), 0.3)
    assert (fifty.trials, fifty.median, fifty.worst) == (50, 0.0, 0.02)


def test_a_generic_search_beside_ours() -> None:
    row = generic_row(GenericResult("key", 64, 60, 5e-3, 120.0), "conv", 1e-3, 1.5)
    assert (row.ratio, row.minutes, row.our_minutes) == (pytest.approx(5.0), 2.0, 1.6)
    none = generic_row(GenericResult("key", 64, 0, None, 120.0), "conv", 1e-3, 1.5)
    assert none.ratio is None


class Unsteady:
    """A runner each of whose rounds takes another time."""

    device: dict = {}
    warnings: list = []

    def __init__(self, *rounds: Measurement) -> None:
        self._rounds = list(rounds)

    def measure(self, jobs: list) -> list[Measurement]:
        return [self._rounds.pop(0)] * len(jobs)


def test_the_middle_of_three_turns() -> None:
    runner = Unsteady(*(Measurement((seconds,)) for seconds in (3.0, 9.0, 1.0)))
    (found,) = TurnsRunner(runner, 3).measure([None])  # type: ignore[arg-type]
    assert found.mean == 3.0
    failed = Unsteady(Measurement((1.0,)), Measurement(error="crashed"), Measurement((1.0,)))
    (found,) = TurnsRunner(failed, 3).measure([None])  # type: ignore[arg-type]
    assert found.error == "crashed"


def request(logs: Path, **changes: object) -> RegretRequest:
    tune = TuneRequest("host", "mixed", find_network("mqnet", {}), (32, 32), 1, 1, logs)
    given = {"kernels": 2, "trials": (1, 2), "seeds": 2, "turns": 1, "after": ()}
    return RegretRequest(tune, **{**given, "generic_trials": 4, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kernels": 0}, "kernels 0 is not a positive number"),
        ({"trials": (10, -1)}, "trials -1 is not a positive number"),
        ({"generic_trials": -4}, "metaschedule -4 is below zero"),
        ({"after": ("cortex-a99",)}, "cortex-a99"),
    ],
)
def test_mistakes(tmp_path: Path, changes: dict, sentence: str) -> None:
    with pytest.raises(MqnetError, match=sentence):
        find_regret(request(tmp_path, **changes), tmp_path, Console(stderr=True))


def test_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every configuration of a small kernel, and MetaSchedule's; then again without measuring."""
    epilogue = ConvEpilogue(EpilogueKind.BIAS)
    kernel = create_planar_pointwise((1, 8, 6, 24), 5, "float32", epilogue, interleaved=False)
    random = np.random.default_rng(0)
    weight = random.standard_normal((6, 5), np.float32)
    task = kernel_task("conv", "planar_pointwise", kernel, 3, 2, {1: weight})
    monkeypatch.setattr(module, "tunable_kernels", lambda *_: NetworkKernels([task], {}))
    asked = request(tmp_path, after=("cortex-a76",))
    found = find_regret(asked, tmp_path, Console(stderr=True))
    cold, warm = found.rows
    assert (cold.start, cold.kernel, warm.start) == ("cold", "conv", "after cortex-a76")
    assert cold.configurations == warm.configurations > 1
    assert all(regret >= 0 for regrets in cold.by_trials.values() for regret in regrets)
    assert cold.by_trials[2] <= cold.by_trials[1]
    (generic,) = found.generic
    assert generic.trials >= 1 and generic.ratio is not None and generic.ratio > 0
    assert not found.emulated
    write_regret(found, tmp_path)
    print_regret(found)
    assert "MetaSchedule's generic space" in capsys.readouterr().out
    csv = (tmp_path / f"regret-{found.target}.csv").read_text().splitlines()
    assert len(csv) == 1 + 2 * 2 * 2
    assert (tmp_path / f"regret-{found.target}.png").read_bytes()[:4] == b"\x89PNG"
    json.dumps(found.as_json())

    def measure(*_: object) -> None:
        raise AssertionError("everything is known")

    monkeypatch.setattr("bench.exhaustive.measure_everything.session_machines", measure)
    again = find_regret(asked, tmp_path, Console(stderr=True))
    assert again.rows == found.rows and again.generic == found.generic
