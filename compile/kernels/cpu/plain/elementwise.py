"""Element by element kernels of the int8 backbone, and the schedule of every elementwise kernel.

A unary function of an 8-bit tensor has 256 values, so sigmoid or a lone ReLU are one table lookup;
a change of scale, add and multiply follow the rules of :mod:`compile.kernels.common.requantize`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import s_tir, te, tirx

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.requantize import (
    INPUT_ZERO_POINT,
    quantize,
    requantize,
    to_float,
    uncontracted,
)
from compile.kernels.common.tiling import even_lanes, vector_lanes
from compile.kernels.family import KernelFamily

#: Meaning of the elements of the ``quant`` argument of a binary kernel, int32[5]: the output's
#: zero point and limits stand where :mod:`compile.kernels.common.requantize` expects them.
LEFT_ZERO_POINT, RIGHT_ZERO_POINT = 0, 4

_INT8_MIN = -128

#: Of NEON's and SSE's vectors.
_SHORT_BITS = 128

#: Fewer channels than this do not fill a vector: columns and channels become one axis, at the price
#: that an operand with one value per channel is gathered.
_FEWEST_CHANNELS = 4


def create_table_lookup(shape: tuple[int, ...], dtype: str) -> tirx.PrimFunc:
    """The kernel (data ``dtype`` [shape], table int8[256]) -> int8 [shape].

    ``dtype`` is int8 or uint8; table[0] is the value for the type's smallest number.
    """
    data = te.placeholder(shape, dtype, name="data")
    table = te.placeholder((256,), "int8", name="table")
    smallest = _INT8_MIN if dtype == "int8" else 0
    out = te.compute(
        shape, lambda *i: table[data(*i).astype("int32") - smallest], name="table_lookup"
    )
    return create_kernel(FAMILY.name, [data, table], out)


def create_channel_table_lookup(shape: tuple[int, int, int, int], dtype: str) -> tirx.PrimFunc:
    """The kernel (data ``dtype`` [shape], table int8[C,256]) -> int8 [shape] as
    :func:`create_table_lookup`, with a table for each of the C channels."""
    data = te.placeholder(shape, dtype, name="data")
    table = te.placeholder((shape[3], 256), "int8", name="table")
    smallest = _INT8_MIN if dtype == "int8" else 0
    out = te.compute(
        shape, lambda *i: table[i[3], data(*i).astype("int32") - smallest], name="channel_table"
    )
    return create_kernel(FAMILY.name, [data, table], out)


def create_rescale(shape: tuple[int, ...], dtype: str) -> tirx.PrimFunc:
    """The kernel (data ``dtype`` [shape], multiplier float32[1], quant int32[4]) -> int8 [shape]:
    ``rne(f32(2 * x - centre) * multiplier) + z_y``; ``dtype`` is int8 or uint8, the centre stands
    in the place of the input's zero point."""
    data = te.placeholder(shape, dtype, name="data")
    multiplier = te.placeholder((1,), "float32", name="multiplier")
    quant = te.placeholder((4,), "int32", name="quant")

    def rescale(*index: tirx.Expr) -> tirx.Expr:
        centred = data(*index).astype("int32") * 2 - quant[INPUT_ZERO_POINT]
        return requantize(centred, multiplier[0], quant)

    return create_kernel(
        FAMILY.name, [data, multiplier, quant], te.compute(shape, rescale, "rescale")
    )


def create_add(shape: tuple[int, ...], other: tuple[int, ...]) -> tirx.PrimFunc:
    """The kernel (left int8 [shape], right int8 [other], multiplier float32[2], quant int32[5]) ->
    int8, see :func:`requantized_sum`."""
    return _create_binary("add", shape, other, 2, requantized_sum)


def requantized_sum(
    left: tirx.Expr, right: tirx.Expr, multiplier: te.Tensor, quant: te.Tensor
) -> tirx.Expr:
    """int8 ``rne(f32(a - z_a) * s_a/s_y + f32(b - z_b) * s_b/s_y) + z_y`` of two int8 numbers, each
    product rounded."""
    a, b = _centred(left, right, quant)
    total = uncontracted(to_float(a) * multiplier[0]) + uncontracted(to_float(b) * multiplier[1])
    return quantize(total, quant)


def create_multiply(shape: tuple[int, ...], other: tuple[int, ...]) -> tirx.PrimFunc:
    """The kernel (left int8 [shape], right int8 [other], multiplier float32[1], quant int32[5]) ->
    int8, see :func:`requantized_product`."""
    return _create_binary("multiply", shape, other, 1, requantized_product)


def requantized_product(
    left: tirx.Expr, right: tirx.Expr, multiplier: te.Tensor, quant: te.Tensor
) -> tirx.Expr:
    """int8 ``rne(f32((a - z_a) * (b - z_b)) * (s_a*s_b/s_y)) + z_y`` of two int8 numbers."""
    a, b = _centred(left, right, quant)
    return requantize(a * b, multiplier[0], quant)


def _create_binary(
    name: str,
    shape: tuple[int, ...],
    other: tuple[int, ...],
    multipliers: int,
    combine: Callable[[tirx.Expr, tirx.Expr, te.Tensor, te.Tensor], tirx.Expr],
) -> tirx.PrimFunc:
    left = te.placeholder(shape, "int8", name="left")
    right = te.placeholder(other, "int8", name="right")
    multiplier = te.placeholder((multipliers,), "float32", name="multiplier")
    quant = te.placeholder((5,), "int32", name="quant")
    out_shape = tuple(max(a, b) for a, b in zip(shape, other, strict=True))

    def compute(*index: tirx.Expr) -> tirx.Expr:
        a = left(*(i if extent > 1 else 0 for i, extent in zip(index, shape, strict=True)))
        b = right(*(i if extent > 1 else 0 for i, extent in zip(index, other, strict=True)))
        return combine(a, b, multiplier, quant)

    out = te.compute(out_shape, compute, name=name)
    return create_kernel(FAMILY.name, [left, right, multiplier, quant], out)


def _centred(left: tirx.Expr, right: tirx.Expr, quant: te.Tensor) -> tuple[tirx.Expr, tirx.Expr]:
    """int32: two int8 numbers without their zero points."""
    return (
        left.astype("int32") - quant[LEFT_ZERO_POINT],
        right.astype("int32") - quant[RIGHT_ZERO_POINT],
    )


def serves(sch: s_tir.Schedule) -> bool:
    """Whether the kernel is a chain of elementwise blocks, which operator fusion makes too."""
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    axes = [axis.iter_type for block in blocks for axis in sch.get(block).iter_vars]
    return all(axis == tirx.IterVar.DataPar for axis in axes)


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        lanes: elements that are computed at once, in one or more vectors.
    """

    lanes: int


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    extent = _run(sch)
    lengths = [even_lanes(extent, core.lanes * n // 2) for n in (1, 2, 4, 8) if core.lanes * n > 1]
    return [Configuration(lanes) for lanes in dict.fromkeys(lengths)]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """One vector of 32-bit lanes; of a table lookup, one of bytes; of a change of scale too, where
    four vectors of 32-bit lanes are narrowed at once for little more than one."""
    *_, last = sch.get_child_blocks(sch.get_sblock("root"))
    name = str(sch.get(last).name_hint)
    if name == "table_lookup" or (name == "rescale" and core.bits == _SHORT_BITS):
        return Configuration(even_lanes(_run(sch), core.bits // 8))
    return Configuration(vector_lanes(_run(sch), core))


def _run(sch: s_tir.Schedule) -> int:
    """Elements of the loop that is vectorized."""
    *_, last = sch.get_child_blocks(sch.get_sblock("root"))
    *outer, extent = (int(axis.dom.extent) for axis in sch.get(last).iter_vars)
    return extent * outer[-1] if outer and extent < _FEWEST_CHANNELS else extent


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Inline every block into the last one; fuse its loops, vectorize inside, threads outside; cut
    by the default configuration unless another one is given.

    Serves any chain of elementwise blocks, so also those that operator fusion has made.
    """
    configuration = configuration or default_configuration(sch, core)
    *inner, last = sch.get_child_blocks(sch.get_sblock("root"))
    for block in inner:
        sch.compute_inline(block)
    # A number without dimensions has no loop.
    *outer, innermost = sch.get_loops(last) or [sch.add_unit_loop(last)]
    if outer and int(sch.get(innermost).extent) < _FEWEST_CHANNELS:
        # Not the rows too: TVM would not see that the loop runs through memory, and gather.
        innermost = sch.fuse(outer.pop(), innermost)
    rest, lane = sch.split(innermost, [None, configuration.lanes])
    sch.parallel(sch.fuse(*outer, rest))
    sch.vectorize(lane)


FAMILY = KernelFamily(
    "elementwise",
    "elementwise",
    schedule,
    Configuration,
    configurations,
    default_configuration,
    serves=serves,
)
