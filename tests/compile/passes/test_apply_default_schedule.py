"""ApplyDefaultSchedule: every kernel gets the loops of its family, and no kernel naive ones."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tvm
from tvm import te, tirx
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import tirx as T

from compile.graph.schedule_attrs import BUILT_IN, RECORD, mark_scheduled, schedule_origin
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.x86_pmaddwd import pmaddwd
from compile.kernels.cpu.int8.int8_concat_pointwise import create_int8_concat_pointwise
from compile.kernels.cpu.int8.int8_conv import create_int8_conv
from compile.kernels.cpu.int8.int8_depthwise import create_int8_depthwise
from compile.kernels.cpu.int8.int8_pointwise import create_int8_pointwise
from compile.kernels.cpu.norm import planar_norm
from compile.kernels.cpu.norm.instance_norm import create_normalize
from compile.kernels.cpu.norm.row_statistics import create_row_statistics
from compile.kernels.cpu.plain.depthwise import create_depthwise
from compile.kernels.cpu.plain.elementwise import create_add
from compile.kernels.cpu.plain.mean import create_mean
from compile.kernels.cpu.plain.move import create_upsample
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from compile.kernels.cpu.planar.planar_conv import create_planar_conv
from compile.kernels.cpu.planar.planar_pointwise import create_planar_pointwise
from compile.passes.apply_default_schedule import apply_default_schedule
from compile.support.errors import GraphError


def test_fused_elementwise_chain(core) -> None:
    """Operator fusion's kernels have no family: blocks are inlined, columns and rows become tasks
    and eight channels two vectors of four lanes."""

    @I.ir_module
    class Before:
        @T.prim_func(private=True, s_tir=True)
        def chain(x: T.Buffer((1, 3, 5, 8), "float32"), y: T.Buffer((1, 3, 5, 8), "float32")):
            T.func_attr({"tirx.noalias": True})
            double = T.sblock_alloc_buffer((1, 3, 5, 8))
            for i0, i1, i2, i3 in T.grid(1, 3, 5, 8):
                with T.sblock("double"):
                    v0, v1, v2, v3 = T.axis.remap("SSSS", [i0, i1, i2, i3])
                    double[v0, v1, v2, v3] = x[v0, v1, v2, v3] * T.float32(2)
            for i0, i1, i2, i3 in T.grid(1, 3, 5, 8):
                with T.sblock("shift"):
                    v0, v1, v2, v3 = T.axis.remap("SSSS", [i0, i1, i2, i3])
                    y[v0, v1, v2, v3] = double[v0, v1, v2, v3] + T.float32(1)

    @I.ir_module
    class After:
        @T.prim_func(private=True, s_tir=True)
        def chain(x: T.Buffer((1, 3, 5, 8), "float32"), y: T.Buffer((1, 3, 5, 8), "float32")):
            T.func_attr(
                {
                    "tirx.noalias": True,
                    "tirx.is_scheduled": True,
                    "mqnet.schedule": "built-in",
                }
            )
            for task in T.parallel(30):
                for lane in T.vectorized(4):
                    with T.sblock("shift"):
                        v0 = T.axis.spatial(1, 0)
                        v1 = T.axis.spatial(3, task // 10)
                        v2 = T.axis.spatial(5, task % 10 // 2)
                        v3 = T.axis.spatial(8, task % 2 * 4 + lane)
                        y[v0, v1, v2, v3] = x[v0, v1, v2, v3] * T.float32(2) + T.float32(1)

    assert_structural_equal(apply_default_schedule(core)(Before), After)


def test_pointwise_accumulates_in_registers(core) -> None:
    """Four pixels by two vectors stay in local accumulators over the whole reduction."""
    before = module(create_pointwise((1, 2, 4, 3), 8, "float32", "float32", BIAS))

    @I.ir_module
    class After:
        @T.prim_func(private=True, s_tir=True)
        def kernel(
            data: T.Buffer((1, 2, 4, 3), "float32"),
            weight: T.Buffer((3, 8), "float32"),
            bias: T.Buffer((8,), "float32"),
            epilogue: T.Buffer((1, 2, 4, 8), "float32"),
        ):
            T.func_attr(
                {
                    "tirx.noalias": True,
                    "mqnet.family": "pointwise",
                    "mqnet.macs": 192,
                    "tirx.is_scheduled": True,
                    "mqnet.schedule": "built-in",
                }
            )
            acc = T.sblock_alloc_buffer((2, 4, 8))
            for b in range(1):
                for y in T.parallel(2):
                    for tile, channels in T.grid(1, 1):
                        for row in range(1):
                            for pixel in T.unroll(4):
                                for vector in T.unroll(2):
                                    for lane in T.vectorized(4):
                                        with T.sblock("conv_init"):
                                            vy = T.axis.spatial(2, y + row)
                                            vx = T.axis.spatial(4, pixel)
                                            vn = T.axis.spatial(8, vector * 4 + lane)
                                            T.reads()
                                            T.writes(acc[vy, vx, vn])
                                            acc[vy, vx, vn] = T.float32(0.0)
                            for k in range(3):
                                for pixel in T.unroll(4):
                                    for vector in T.unroll(2):
                                        for lane in T.vectorized(4):
                                            with T.sblock("conv_update"):
                                                vy = T.axis.spatial(2, y + row)
                                                vx = T.axis.spatial(4, pixel)
                                                vn = T.axis.spatial(8, vector * 4 + lane)
                                                vk = T.axis.reduce(3, k)
                                                T.reads(
                                                    acc[vy, vx, vn],
                                                    data[0, vy, vx, vk],
                                                    weight[vk, vn],
                                                )
                                                T.writes(acc[vy, vx, vn])
                                                acc[vy, vx, vn] = (
                                                    acc[vy, vx, vn]
                                                    + data[0, vy, vx, vk] * weight[vk, vn]
                                                )
                        for pixel in T.unroll(4):
                            for vector in T.unroll(2):
                                for lane in T.vectorized(4):
                                    with T.sblock("epilogue"):
                                        vb, vy = T.axis.remap("SS", [b, y])
                                        vx = T.axis.spatial(4, tile * 4 + pixel)
                                        vn = T.axis.spatial(8, channels * 8 + vector * 4 + lane)
                                        T.reads(acc[vy, vx, vn], bias[vn])
                                        T.writes(epilogue[vb, vy, vx, vn])
                                        epilogue[vb, vy, vx, vn] = acc[vy, vx, vn] + bias[vn]

    assert_structural_equal(apply_default_schedule(core)(before), After)


BIAS = ConvEpilogue(EpilogueKind.BIAS)
SCALE = ConvEpilogue(EpilogueKind.SCALE)
DOT = pmaddwd(128)
WINDOW = Window((3, 3), (2, 2), (1, 1, 1, 1))
SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))
KERNELS = {
    "pointwise": create_pointwise((1, 5, 7, 3), 6, "float32", "float32", BIAS),
    "spatial_conv": create_spatial_conv((1, 5, 7, 3), 6, WINDOW, "float32", "float32", BIAS),
    "planar_conv": create_planar_conv((1, 6, 8, 5), 6, SAME, DOT, SCALE),
    "planar_pointwise": create_planar_pointwise((1, 5, 3, 8), 6, "float32", BIAS, False),
    "planar_row_statistics": planar_norm.create_row_statistics((1, 5, 6, 8)),
    "planar_normalize": planar_norm.create_normalize((1, 5, 6, 8), 0.0),
    "packed_concat_pointwise": create_int8_concat_pointwise((1, 3, 4, 6), 5, 2, 8, DOT, SCALE),
    "depthwise": create_depthwise((1, 5, 7, 6), WINDOW, "float32", "float32", BIAS),
    "elementwise": create_add((1, 5, 7, 6), (1, 1, 1, 6)),
    "mean": create_mean((1, 5, 7, 6)),
    "row_statistics": create_row_statistics((1, 5, 7, 6), "float32"),
    "normalize": create_normalize((1, 5, 7, 6), 0.0, "float32"),
    "packed_pointwise": create_int8_pointwise((1, 5, 7, 3), 6, DOT, SCALE),
    "packed_conv": create_int8_conv((1, 5, 7, 3), 6, WINDOW, DOT, SCALE),
    "packed_depthwise": create_int8_depthwise((1, 5, 7, 8), WINDOW, DOT, SCALE),
}


@pytest.mark.parametrize("family", KERNELS)
def test_kernels_of_every_family_have_tasks_and_vectors(family: str, core) -> None:
    before = module(KERNELS[family])
    assert loop_kinds(before["kernel"]) == {"serial"}
    after = apply_default_schedule(core)(before)
    assert {"parallel", "vectorized"} <= loop_kinds(after["kernel"])
    assert schedule_origin(after["kernel"]) == BUILT_IN
    assert after["kernel"].attrs["mqnet.family"] == family
    assert "mqnet.schedule" not in before["kernel"].attrs


def test_kernel_in_its_final_form_is_only_marked(core) -> None:
    kernel = create_upsample((1, 2, 3, 4), 2, "int8")
    after = apply_default_schedule(core)(module(kernel))
    assert_structural_equal(after["kernel"], mark_scheduled(kernel, BUILT_IN))


def test_kernel_with_a_record_is_left_alone(core) -> None:
    scheduled = mark_scheduled(KERNELS["pointwise"], RECORD)
    before = tvm.IRModule({"tuned": scheduled, "untuned": KERNELS["mean"]})
    after = apply_default_schedule(core)(before)
    assert_structural_equal(after["tuned"], scheduled)
    assert schedule_origin(after["untuned"]) == BUILT_IN


@I.ir_module
class RowMaximum:
    @T.prim_func(private=True, s_tir=True)
    def row_maximum(x: T.Buffer((3, 5), "float32"), y: T.Buffer((3,), "float32")):
        for i, k in T.grid(3, 5):
            with T.sblock("maximum"):
                vi, vk = T.axis.remap("SR", [i, k])
                with T.init():
                    y[vi] = T.float32(-1e30)
                y[vi] = T.max(y[vi], x[vi, vk])


def test_reduction_of_no_family_has_tasks(core) -> None:
    after = apply_default_schedule(core)(RowMaximum)
    assert loop_kinds(after["row_maximum"]) == {"parallel", "serial"}
    kernel = after["row_maximum"].with_attr("global_symbol", "row_maximum")
    library = tvm.compile(tvm.IRModule({"row_maximum": kernel}), target="llvm")
    x = np.random.default_rng(0).random((3, 5), np.float32)
    y = tvm.runtime.tensor(np.zeros(3, np.float32))
    library["row_maximum"](tvm.runtime.tensor(x), y)
    np.testing.assert_array_equal(y.numpy(), x.max(1))


def test_kernel_that_goes_on_from_what_it_has_is_an_error(core) -> None:
    @I.ir_module
    class Before:
        @T.prim_func(private=True, s_tir=True)
        def running_sum(x: T.Buffer((5,), "float32"), y: T.Buffer((5,), "float32")):
            with T.sblock("scan"):
                T.reads(x[0:5])
                T.writes(y[0:5])
                y[0] = x[0]
                for i in range(1, 5):
                    y[i] = y[i - 1] + x[i]

    with pytest.raises(GraphError, match="kernel running_sum .* has no schedule for a cpu"):
        apply_default_schedule(core)(Before)


def module(kernel: tirx.PrimFunc) -> tvm.IRModule:
    return tvm.IRModule({"kernel": kernel})


def loop_kinds(kernel: tirx.PrimFunc) -> set[str]:
    """As TVMScript spells them; a plain range is serial."""
    spelled = re.findall(r" in (?:T\.)?(grid|range|parallel|vectorized|unroll)\(", kernel.script())
    return {"serial" if kind in ("grid", "range") else kind for kind in spelled}


def test_a_number_without_dimensions(core) -> None:
    x = te.placeholder((), "float32", "x")
    kernel = te.create_prim_func([x, te.compute((), lambda: x() * 2)]).with_attr(
        "global_symbol", "double"
    )
    scheduled = apply_default_schedule(core)(tvm.IRModule({"double": kernel}))
    result = tvm.runtime.tensor(np.float32(0))
    tvm.compile(scheduled, target="llvm")["double"](tvm.runtime.tensor(np.float32(3)), result)
    assert result.numpy() == 6
