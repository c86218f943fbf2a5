"""What a frame costs: counted on an emulated board, or timed in turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import x86_only
from fixtures_artefacts import SIZE, ArtefactFactory

from compile.artefact.manifest import CallSummary
from compile.precision.time_candidates import (
    EmulatedMeter,
    FrameCost,
    HostMeter,
    costs_by_scope,
)
from compile.support.errors import MqnetError, TargetError
from device.emulated.arm64.board_core import board_core
from device.emulated.arm64.count_instructions import COUNT, RUN, SKIP, count_on_board
from targets.load_target import load_target

FRAME = (np.full((1, *SIZE, 3), 100, np.uint8),)


def test_of_an_emulated_board(arm64_root: Path, artefact: ArtefactFactory):
    build = artefact("cortex-a76")
    meter = EmulatedMeter(load_target("cortex-a76"), arm64_root)
    cost = meter.measure(build, FRAME)
    assert len(cost.calls) == len(build.manifest.calls) and min(cost.calls) > 0
    assert sum(cost.calls) == cost.whole
    assert meter.measure(build, FRAME) == cost
    # One alone costs what it does in a whole frame, where the one before it runs.
    number = int(np.argmax(cost.calls))
    todo = "".join({number - 1: RUN, number: COUNT}.get(n, SKIP) for n in range(len(cost.calls)))
    spec = load_target("cortex-a76")
    counts = count_on_board(
        *(arm64_root, build.library, FRAME, board_core(spec.processor.cpu)),
        timing=spec.timing,
        todo=todo,
    )
    cycles = [each.cycles for _, each in counts.kernels]
    assert cycles[number] == pytest.approx(1e6 * cost.calls[number], rel=0.02)
    assert not any(cycles[:number]) and not any(cycles[number + 1 :])
    assert "EMULATED" in meter.unit and "EMULATED" in meter.machine


@x86_only
def test_of_this_machine(artefact: ArtefactFactory, tmp_path: Path):
    build = artefact()
    meter = HostMeter(load_target("host"))
    try:
        first = meter.measure(build, FRAME)
        # Times are told as multiples of the first's.
        meter.keep_first(build.library.parent, 1000 * first.whole)
        second = meter.measure(build, FRAME)
        assert second.whole > 100 * first.whole > 0
        for cost in (first, second):
            assert len(cost.calls) == len(build.manifest.calls)
            assert sum(cost.calls) == pytest.approx(cost.whole)
        meter.keep_first(tmp_path, 1.0)
        with pytest.raises(MqnetError, match="did not run"):
            meter.measure(build, FRAME)
    finally:
        meter.close()


def test_what_cannot_be_measured(arm64_root: Path, tmp_path: Path):
    with pytest.raises(TargetError, match="host cannot be emulated"):
        EmulatedMeter(load_target("host"), arm64_root)
    with pytest.raises(TargetError, match="make_board"):
        EmulatedMeter(load_target("cortex-a76"), tmp_path)
    with pytest.raises(TargetError, match="cannot be timed here: give --emulate"):
        HostMeter(load_target("android-mali"))


def test_costs_are_shared_by_multiplications():
    calls = (
        CallSummary("a", ("net.conv", "net.act")),
        CallSummary("b", ("net.act", "net.sum")),
        CallSummary("c", ("net.conv", "net.other")),
        CallSummary("d", ()),
    )
    cost = FrameCost(20.0, (4.0, 2.0, 6.0, 8.0))
    paths, macs = ("conv", "act", "sum", "other"), (30, 0, 0, 10)
    assert costs_by_scope(calls, cost, paths, macs, "net") == [4 + 4.5, 1, 1, 1.5]
