"""Mean over the feature map (global average pooling): int8 through an int32 sum, or float."""

from __future__ import annotations

from collections.abc import Callable

from tvm import s_tir, te, tirx

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import accumulate_in_registers
from compile.kernels.common.requantize import INPUT_ZERO_POINT, requantize
from compile.kernels.common.tiling import vector_lanes
from compile.kernels.family import KernelFamily


def create_mean(data_shape: tuple[int, int, int, int]) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,C], multiplier float32[1], quant int32[4]) -> int8 [1,1,1,C].

    ``rne(f32(sum(x - z_x)) * f32(s_x / (s_y*H*W))) + z_y``.
    """
    _, height, width, _ = data_shape
    data = te.placeholder(data_shape, "int8", name="data")
    multiplier = te.placeholder((1,), "float32", name="multiplier")
    quant = te.placeholder((4,), "int32", name="quant")

    def finish(total: tirx.Expr) -> tirx.Expr:
        centred = total - quant[INPUT_ZERO_POINT] * (height * width)
        return requantize(centred, multiplier[0], quant)

    return create_kernel(FAMILY.name, [data, multiplier, quant], _mean(data, "int32", finish))


def create_float_mean(data_shape: tuple[int, int, int, int], dtype: str) -> tirx.PrimFunc:
    """The kernel data ``dtype`` [1,H,W,C] -> ``dtype`` [1,1,1,C], through a float32 sum."""
    data = te.placeholder(data_shape, dtype, name="data")
    pixels = data_shape[1] * data_shape[2]

    def finish(total: tirx.Expr) -> tirx.Expr:
        return (total * (1.0 / pixels)).astype(dtype)

    return create_kernel(FAMILY.name, [data], _mean(data, "float32", finish))


def _mean(data: te.Tensor, acc_dtype: str, finish: Callable[[tirx.Expr], tirx.Expr]) -> te.Tensor:
    """The sum by rows and then over the rows: two blocks, so that threads share the rows and the
    result does not depend on them."""
    _, height, width, channels = data.shape
    x = te.reduce_axis((0, width), name="x")
    y = te.reduce_axis((0, height), name="y")
    row_sum = te.compute(
        (height, channels),
        lambda row, c: te.sum(data[0, row, x, c].astype(acc_dtype), axis=x),
        name="row_sum",
    )
    total = te.compute((channels,), lambda c: te.sum(row_sum[y, c], axis=y), name="total")
    shape = (1, 1, 1, channels)
    return te.compute(shape, lambda b, i, j, c: finish(total[c]), name="epilogue")


def schedule(sch: s_tir.Schedule, core: CpuCore) -> None:
    """Rows to threads, channels to vectors."""
    row_sum, total, epilogue = (sch.get_sblock(n) for n in ("row_sum", "total", "epilogue"))
    for block, outer in ((row_sum, 1), (total, 0)):
        loops = sch.get_loops(block)
        channel, reduction = loops[outer], loops[outer + 1]
        lanes = vector_lanes(int(sch.get(channel).extent), core)
        channel_outer, channel = sch.split(channel, [None, lanes])
        if outer:
            sch.parallel(loops[0])
        accumulate_in_registers(sch, block, [], channel, [reduction], lanes)
    sch.vectorize(sch.get_loops(epilogue)[-1])


FAMILY = KernelFamily(
    "mean",
    "means",
    schedule,
)
