"""The model of a core's timing: what target files may say, and what is made of counts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from compile.support.errors import TargetError
from targets.load_target import TARGET_FOLDER, load_target
from targets.tables import convert_table
from targets.timing_model import INSTRUCTION_CLASSES, TimingModel, TimingTable, timing_model

EMULATED = ("cortex-a53", "cortex-a55", "rpi4", "cortex-a76", "cortex-x2")


def table() -> dict[str, Any]:
    return {
        "issue_width": 4,
        "line_bytes": 64,
        "cycles": {name: 0.5 for name in INSTRUCTION_CLASSES[:7]} | {"load_quad": 2.0},
        "l1d": {"ways": 4, "miss_cycles": 5.0},
        "l2": {"ways": 8, "miss_cycles": 20},
    }


def model(changed: dict[str, Any] | None = None) -> TimingModel:
    changed_table = convert_table(table() | (changed or {}), TimingTable, "x.toml, timing")
    return timing_model(changed_table, 32768, 262144, "x.toml")


def test_options_of_the_plugin() -> None:
    options = dict(option.split("=") for option in model().plugin_options())
    assert options["issue"] == "250" and options["line"] == "64"
    assert options["load_quad"] == "2000" and options["simd"] == "500"
    assert options["l1d"] == "128:4" and options["l2"] == "512:8"


def test_cycles_of_counts() -> None:
    counted = {"millicycles": 12_500, "l1d_misses": 3, "l2_misses": 2}
    assert model().core_cycles_of(counted) == 12.5
    assert model().cycles_of(counted) == 12.5 + 3 * 5 + 2 * 20


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"issue_width": 0}, "x.toml, timing: 'issue_width' must be a positive number, not 0"),
        ({"line_bytes": True}, "'line_bytes' must be a positive integer, not true"),
        ({"cycles": {"simd": 1.0}}, "timing, cycles: missing key 'dot_product'"),
        ({"l1d": {"ways": 4}}, "timing, l1d: missing key 'miss_cycles'"),
        ({"l1d": {"ways": 3, "miss_cycles": 5}}, "32768 bytes in 3 ways .* power of two"),
        (
            {"l2": {"ways": 8, "miss_cycles": -1}},
            "l2: 'miss_cycles' must be a positive number",
        ),
        (
            {"other": 1},
            "timing: unknown key 'other'; known: issue_width, cycles,",
        ),
    ],
)
def test_mistakes_are_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        model(changed)


@pytest.mark.parametrize("name", EMULATED)
def test_emulated_targets_say_where_their_figures_are_from(name: str) -> None:
    timing = load_target(name).timing
    assert timing is not None and timing.l1d.miss_cycles < timing.l2.miss_cycles
    text = (TARGET_FOLDER / f"{name}.toml").read_text()
    assert re.search("Software\\s(# )?Optimization Guide", text) and "Misses:" in text
    # Nothing is faster than it can be issued.
    assert all(cost >= 1 / timing.issue_width - 1e-3 for cost in timing.cycles.by_class().values())


def test_faster_cores_take_fewer_cycles() -> None:
    """For the same counts: an A53 and an A55 more than an A76, and that more than an X2."""
    for names in (("cortex-a53", "cortex-a76"), ("cortex-a55", "cortex-a76", "cortex-x2")):
        costs = [load_target(name).timing.cycles.by_class().values() for name in names]
        for slower, faster in zip(costs, costs[1:], strict=False):
            assert all(a >= b for a, b in zip(slower, faster, strict=True))


def test_classes_that_a_core_does_not_name_cost_as_simd() -> None:
    options = dict(option.split("=") for option in model().plugin_options())
    assert options["multiply"] == options["floating"] == options["simd"]
    named = load_target("rpi4").timing
    assert named is not None
    options = dict(option.split("=") for option in named.plugin_options())
    assert (options["simd"], options["multiply"], options["floating"]) == ("500", "1000", "1000")
    # Sessions of the other cores know their model by this.
    assert set(model().as_json()["cycles"]) == set(INSTRUCTION_CLASSES) - {"multiply", "floating"}


def test_latencies_are_of_cores_that_issue_in_order() -> None:
    """Other sessions know their model by what it is without them."""
    names = {name for name in EMULATED if load_target(name).timing.latency is not None}
    assert names == {"cortex-a53", "cortex-a55"}
    assert "latency" not in model().as_json()
    latency = {name: 4 for name in ("dot_product", "multiply", "floating", "simd", "load", "other")}
    named = model({"latency": latency | {"sum": 1.5}})
    options = dict(option.split("=") for option in named.plugin_options())
    assert (options["latency_load"], options["latency_sum"]) == ("4000", "1500")
    assert named.as_json()["latency"]["sum"] == 1.5
    with pytest.raises(TargetError, match="timing, latency: missing key 'sum'"):
        model({"latency": latency})
