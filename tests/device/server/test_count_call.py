"""One call counted on the emulated board: the same every time, and what caches and pipes make of
it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tvm
from command_line import needs_lld
from tvm.script import tirx as T

from compile.codegen.link.link import ExportLinker
from device.emulated.arm64.board_core import board_core
from device.emulated.arm64.count_calls import CallJob, CountedCall, count_calls_on_board
from targets.describe_target import tvm_target
from targets.load_target import load_target

SPEC = load_target("cortex-a76")
LINE_BYTES = SPEC.timing.line_bytes
#: Numbers of float32: of three arrays the first has room in the level 1 cache, the second in the
#: level 2 cache only, the third in none.
SIZES = (1 << 11, 1 << 15, 1 << 18)
# Beyond the longest run that a prefetcher follows.
STRIDE = 4 * LINE_BYTES // 4


def library(folder: Path, size: int) -> Path:
    """Adds 1 to one number of every fourth line."""

    @T.prim_func(s_tir=True)
    def main(a: T.Buffer((size,), "float32")) -> None:
        for i in range(size // STRIDE):
            with T.sblock("add"):
                at = T.axis.spatial(size // STRIDE, i)
                a[at * STRIDE] = a[at * STRIDE] + T.float32(1)

    path = folder / f"add{size}.so"
    built = tvm.compile(tvm.IRModule({"main": main}), target=tvm_target(SPEC, 1))
    built.export_library(str(path), fcompile=ExportLinker(SPEC))
    return path


@pytest.fixture(scope="module")
def counted(arm64_root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[CountedCall]:
    """Each size, and each again."""
    folder = tmp_path_factory.mktemp("add")
    jobs = [
        CallJob(library(folder, size), "main", [np.zeros(size, np.float32)]) for size in SIZES
    ] * 2
    return count_calls_on_board(jobs, arm64_root, board_core(SPEC.processor.cpu), SPEC.timing)


@needs_lld
def test_counts_are_the_same_every_time(counted: list[CountedCall]) -> None:
    for one, other in zip(counted[:3], counted[3:], strict=True):
        counts = dict(one.counts), dict(other.counts)
        for name in ("l1d_misses", "l2_misses"):
            # The caller's own data may lie in other sets.
            assert counts[0].pop(name) == pytest.approx(counts[1].pop(name), abs=8)
        assert counts[0] == counts[1]


@needs_lld
def test_misses_are_the_lines_that_have_no_room(counted: list[CountedCall]) -> None:
    lines = [4 * size // (4 * LINE_BYTES) for size in SIZES]
    in_l1d, in_l2, nowhere = (call.counts for call in counted[:3])
    assert in_l1d["l1d_misses"] < 8 and in_l1d["l2_misses"] < 8
    assert in_l2["l1d_misses"] == pytest.approx(lines[1], abs=8) and in_l2["l2_misses"] < 8
    assert nowhere["l1d_misses"] == pytest.approx(lines[2], abs=8)
    assert nowhere["l2_misses"] == pytest.approx(lines[2], abs=8)


@needs_lld
def test_cycles_are_those_of_the_instructions(counted: list[CountedCall]) -> None:
    for call in counted:
        cycles = SPEC.timing.core_cycles_of(call.counts)
        assert cycles >= call.counts["instructions"] / SPEC.timing.issue_width
        assert cycles < call.counts["instructions"]


@needs_lld
def test_blocks_hold_the_instructions(counted: list[CountedCall]) -> None:
    """Of all four calls, and of what leads to them."""
    for call in counted:
        executed = sum(len(block) // 4 * times for block, times in call.blocks.items())
        assert 4 * call.counts["instructions"] < executed
