"""MetaSchedule's own space of kernels without a family: the same numbers, the same schedules again,
and records that builds take."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import s_tir, te, tirx
from tvm.ir import assert_structural_equal
from tvm.s_tir.meta_schedule.database import JSONDatabase, TuningRecord

from compile.graph.schedule_attrs import RECORD, schedule_origin
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.plain import reduction
from compile.kernels.cpu.plain.metaschedule_space import Configuration
from compile.kernels.families import families_of
from compile.passes.apply_tuning_records import apply_tuning_records
from compile.search.candidate import all_configurations, scheduled
from compile.search.kernel_task import kernel_task

CORE = CpuCore(256, 16, 2)
SHAPE = (1, 7, 9, 17)


def softmax(shape: tuple[int, ...] = SHAPE) -> tirx.PrimFunc:
    """Over the last axis, as operator fusion leaves it: of no family."""
    *outer, channels = shape
    data = te.placeholder(shape, "float32", name="data")
    of_maximum, of_sum = (te.reduce_axis((0, channels), name) for name in ("m", "s"))
    most = te.compute(
        outer, lambda *at: te.max(data(*at, of_maximum), axis=of_maximum), name="most"
    )
    powers = te.compute(shape, lambda *at: te.exp(data(*at) - most(*at[:-1])), name="powers")
    total = te.compute(outer, lambda *at: te.sum(powers(*at, of_sum), axis=of_sum), name="total")
    result = te.compute(shape, lambda *at: powers(*at) / total(*at[:-1]), name="result")
    return te.create_prim_func([data, result]).with_attr("tirx.noalias", True)


TASK = kernel_task("softmax", "reduction", softmax(), 1)


def test_such_kernels_can_be_tuned() -> None:
    family = families_of("cpu").of(softmax())
    assert family is reduction.FAMILY and family.is_tunable
    default, texts = all_configurations(TASK.family, TASK.load(), CORE)
    assert default == "metaschedule=0" and default in texts
    assert len(texts) == len(set(texts)) > 10
    assert "tvm.s_tir.tensor_intrin.cuda" not in sys.modules, "it takes a minute to import"


def test_every_draw_computes_the_same() -> None:
    texts = all_configurations(TASK.family, TASK.load(), CORE)[1]
    data = np.random.default_rng(0).standard_normal(SHAPE, np.float32)
    powers = np.exp(data - data.max(-1, keepdims=True))
    for text in texts[::5]:
        found = tvm.runtime.tensor(np.zeros(SHAPE, np.float32))
        built = tvm.compile(scheduled(TASK.family, TASK.load(), CORE, text).mod, target="llvm")
        built["main"](tvm.runtime.tensor(data), found)
        np.testing.assert_allclose(
            found.numpy(), powers / powers.sum(-1, keepdims=True), rtol=2e-6, atol=1e-7
        )


def test_a_number_is_one_schedule() -> None:
    first, again = (scheduled(TASK.family, TASK.load(), CORE, "metaschedule=3") for _ in range(2))
    assert_structural_equal(first.mod, again.mod)
    other = scheduled(TASK.family, TASK.load(), CORE, "metaschedule=4")
    with pytest.raises(ValueError):
        assert_structural_equal(first.mod, other.mod)


def test_without_a_configuration_it_is_ours() -> None:
    schedules = [s_tir.Schedule(TASK.load()) for _ in range(2)]
    reduction.schedule(schedules[0], CORE)
    reduction.schedule(schedules[1], CORE, Configuration(0))
    assert_structural_equal(schedules[0].mod, schedules[1].mod)


def test_a_record_is_taken_by_a_build(tmp_path: Path) -> None:
    names = ("database_workload.json", "database_tuning_record.json")
    database = JSONDatabase(*(str(tmp_path / name) for name in names))
    target = tvm.target.Target({"kind": "llvm", "num-cores": 1})
    chosen = scheduled(TASK.family, TASK.load(), CORE, "metaschedule=5")
    workload = database.commit_workload(TASK.load())
    database.commit_tuning_record(TuningRecord(chosen.trace, workload, [1e-6], target))
    after = apply_tuning_records(tmp_path, target)(tvm.IRModule({"softmax": softmax()}))
    assert schedule_origin(after["softmax"]) == RECORD
    assert_structural_equal(after["softmax"].body, chosen.mod["main"].body, True)
