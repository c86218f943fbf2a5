"""ApplyTuningRecords: a kernel with a record gets its measured loops, the others keep theirs.

The record is a real one: a schedule made by hand, its trace written by MetaSchedule's database.
"""

from __future__ import annotations

import base64
import json
import logging
import struct
from pathlib import Path

import pytest
import tvm
from tvm import s_tir
from tvm.ir import assert_structural_equal
from tvm.s_tir.meta_schedule.database import JSONDatabase, TuningRecord

from compile.graph.schedule_attrs import BUILT_IN, RECORD, is_scheduled, schedule_origin
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.passes.apply_default_schedule import apply_default_schedule
from compile.passes.apply_tuning_records import apply_tuning_records
from compile.support.errors import TargetError

TARGET = tvm.target.Target({"kind": "llvm", "num-cores": 1})
BIAS = ConvEpilogue(EpilogueKind.BIAS)
TUNED = create_pointwise((1, 5, 7, 3), 8, "float32", "float32", BIAS)
UNTUNED = create_pointwise((1, 5, 7, 4), 8, "float32", "float32", BIAS)
FILES = ("database_workload.json", "database_tuning_record.json")

#: The key of MetaSchedule's database: the kernel as the only function of a module, named main.
as_workload = tvm.get_global_func("tvm.s_tir.meta_schedule.normalize_mod")


@pytest.fixture
def module() -> tvm.IRModule:
    return tvm.IRModule({"tuned": TUNED, "untuned": UNTUNED})


def tile(schedule: s_tir.Schedule, width: int) -> None:
    """Something that no default schedule does: ``width`` output channels, unrolled, outermost."""
    *outer, channel = schedule.get_loops(schedule.get_sblock("epilogue"))
    channel, inner = schedule.split(channel, [None, width])
    schedule.reorder(channel, *outer, inner)
    schedule.unroll(inner)


def commit(directory: Path, width: int, seconds: list[float]) -> None:
    """Measure nothing, but write a record as a tuning session does."""
    database = JSONDatabase(*(str(directory / name) for name in FILES))
    workload = database.commit_workload(as_workload(TUNED))
    schedule = s_tir.Schedule(workload.mod)
    tile(schedule, width)
    database.commit_tuning_record(TuningRecord(schedule.trace, workload, seconds, TARGET))


def scheduled_by_hand(width: int) -> s_tir.Schedule:
    schedule = s_tir.Schedule(as_workload(TUNED))
    tile(schedule, width)
    return schedule


def test_kernel_gets_the_fastest_recorded_schedule(module: tvm.IRModule, tmp_path: Path) -> None:
    commit(tmp_path, width=2, seconds=[3e-6, 5e-6])
    commit(tmp_path, width=4, seconds=[1e-6])
    after = apply_tuning_records(tmp_path, TARGET)(module)
    assert schedule_origin(after["tuned"]) == RECORD
    assert_structural_equal(after["tuned"].body, scheduled_by_hand(4).mod["main"].body, True)
    assert after["tuned"].attrs["mqnet.macs"] == TUNED.attrs["mqnet.macs"]
    assert "global_symbol" not in after["tuned"].attrs


def test_other_kernels_are_left_for_the_builtin_schedule(
    module: tvm.IRModule, tmp_path: Path, core
) -> None:
    commit(tmp_path, width=4, seconds=[1e-6])
    after = apply_tuning_records(tmp_path, TARGET)(module)
    assert_structural_equal(after["untuned"], UNTUNED)
    assert not is_scheduled(after["untuned"])

    both = apply_default_schedule(core)(after)
    assert_structural_equal(both["tuned"], after["tuned"])
    assert schedule_origin(both["untuned"]) == BUILT_IN


def test_the_module_passed_in_is_not_changed(module: tvm.IRModule, tmp_path: Path) -> None:
    commit(tmp_path, width=4, seconds=[1e-6])
    apply_tuning_records(tmp_path, TARGET)(module)
    assert_structural_equal(module["tuned"], TUNED)


@pytest.mark.parametrize("present", [(), FILES[:1]], ids=["empty", "half"])
def test_folder_without_records_changes_nothing_and_says_so(
    module: tvm.IRModule, tmp_path: Path, present: tuple[str, ...], caplog
) -> None:
    for name in present:
        (tmp_path / name).touch()
    caplog.set_level(logging.INFO, "compile.passes.apply_tuning_records")
    after = apply_tuning_records(tmp_path, TARGET)(module)
    assert_structural_equal(after, tvm.IRModule({"tuned": TUNED, "untuned": UNTUNED}))
    (message,) = caplog.messages
    assert message.startswith("no kernel has a tuning record: ")
    assert not any(path.stat().st_size for path in tmp_path.iterdir())


def test_missing_folder_changes_nothing(module: tvm.IRModule, tmp_path: Path) -> None:
    after = apply_tuning_records(tmp_path / "nowhere", TARGET)(module)
    assert_structural_equal(after, tvm.IRModule({"tuned": TUNED, "untuned": UNTUNED}))
    assert not (tmp_path / "nowhere").exists()


def test_damaged_records_are_named(module: tvm.IRModule, tmp_path: Path) -> None:
    commit(tmp_path, width=4, seconds=[1e-6])
    path = tmp_path / FILES[1]
    path.write_text(path.read_text()[:-40])
    with pytest.raises(TargetError, match="tuning records in .* are damaged .*: restore or delete"):
        apply_tuning_records(tmp_path, TARGET)(module)


def test_kernels_that_another_version_of_tvm_has_written(
    module: tvm.IRModule, tmp_path: Path, caplog
) -> None:
    """This one reads none of them: they get their default schedules."""
    commit(tmp_path, width=4, seconds=[1e-6])
    path = tmp_path / FILES[0]
    key, encoded = json.loads(path.read_text())
    text = base64.b64decode(encoded)[8:].replace(b'"tirx.PrimFunc"', b'"other.PrimFunc"')
    encoded = base64.b64encode(struct.pack("<q", len(text)) + text).decode()
    path.write_text(json.dumps([key, encoded]) + "\n")
    after = apply_tuning_records(tmp_path, TARGET)(module)
    assert_structural_equal(after, tvm.IRModule({"tuned": TUNED, "untuned": UNTUNED}))
    assert "1 kernels in" in caplog.text and "tune them again" in caplog.text
