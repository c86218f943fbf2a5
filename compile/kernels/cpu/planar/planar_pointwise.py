"""1x1 convolution of floats over rows of planes, [1,H,K,W]: the lanes are the pixels of a row.

A weight is one number for all lanes, so few channels cost no more per product than many.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvm import s_tir, te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import keep_in_registers
from compile.kernels.common.tiling import divisors, even_lanes, largest_divisor
from compile.kernels.cpu.fused_neighbours import ALL_NEIGHBOURS, place_neighbours, row_loop
from compile.kernels.cpu.instructions.planar_intrinsics import interleave_intrinsic
from compile.kernels.family import KernelFamily

#: Beyond this TVM takes a buffer from its pool at run time, which LLVM cannot see through.
MOST_BYTES = 1023

_LINE_BYTES = 64


def create_planar_pointwise(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    weight_dtype: str,
    epilogue: ConvEpilogue,
    interleaved: bool,
) -> tirx.PrimFunc:
    """The kernel (data float32 [1,H,K,W], weight [K,N], epilogue operands) -> [1,H,N,W], or
    [1,H,W,N] where ``interleaved``."""
    _, height, channels_in, width = data_shape
    data = te.placeholder(data_shape, "float32", name="data")
    weight = te.placeholder((channels_in, channels_out), weight_dtype, name="weight")
    operands = epilogue.operands(channels_out, "float32")
    finish = epilogue.apply(operands)
    wide = te.compute(weight.shape, lambda k, n: weight[k, n].astype("float32"), name="wide")
    k = te.reduce_axis((0, channels_in), name="k")
    conv = te.compute(
        (height, channels_out, width),
        lambda y, n, x: te.sum(data[0, y, k, x] * wide[k, n], axis=k),
        name="conv",
    )
    out = te.compute(
        (1, height, channels_out, width),
        lambda b, y, n, x: finish(conv[y, n, x], n),
        name="epilogue",
    )
    if interleaved:
        planes = out
        out = te.compute(
            (1, height, width, channels_out),
            lambda b, y, x, n: planes[b, y, n, x],
            name="interleave",
        )
    macs = height * width * channels_in * channels_out
    return create_kernel(FAMILY.name, [data, weight, *operands], out, macs)


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        vectors: of pixels that are computed at a time, for all channels.
    """

    vectors: int


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    channels, vectors, lanes = _sizes(sch, core)
    most = min(core.registers, MOST_BYTES // (lanes * 4)) // channels
    return [Configuration(count) for count in divisors(vectors, max(1, most))]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """As many as fit the registers."""
    channels, vectors, lanes = _sizes(sch, core)
    return Configuration(largest_divisor(vectors, vectors_at_a_time(channels, lanes, core)))


def vectors_at_a_time(channels: int, lanes: int, core: CpuCore) -> int:
    """Vectors of ``lanes`` pixels whose sums of all ``channels`` fit the registers, beside their
    data and the weights, scale and shift of a plane: what does not fit is stored and loaded again.
    No more than a cache line of each plane."""
    fitting = (core.registers - channels - 2) // (channels + 1)
    return max(1, min(fitting, _LINE_BYTES // (lanes * 4)))


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Rows to threads; a few vectors of pixels of all channels to registers, and the normalization
    of the data there, too; cut by the default configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    channels, _, lanes = _sizes(sch, core)
    names = [str(sch.get(b).name_hint) for b in sch.get_child_blocks(sch.get_sblock("root"))]
    if "normalize" in names:
        sch.compute_inline(sch.get_sblock("normalize"))
    epilogue, conv = sch.get_sblock("epilogue"), sch.get_sblock("conv")
    if "interleave" in names:
        interleave = sch.get_sblock("interleave")
        row = row_loop(sch, interleave, core)
        sch.compute_at(epilogue, row, preserve_unit_loops=True)
        *_, column, channel = sch.get_loops(interleave)
        _, column = sch.split(column, [None, lanes])
        if min(channels, lanes) > 1:
            sch.tensorize(column, interleave_intrinsic(channels, lanes))
    else:
        row = row_loop(sch, epilogue, core)
    *_, channel, column = sch.get_loops(epilogue)
    outer_column, vector, lane = sch.split(column, [None, configuration.vectors, lanes])
    sch.reorder(outer_column, channel, vector, lane)
    sch.compute_at(conv, outer_column, preserve_unit_loops=True)
    sch.parallel(row)
    keep_in_registers(sch, [channel, vector], lane)
    place_neighbours(sch, row, core)

    *_, channel, column, k = sch.get_loops(conv)
    vector, lane = sch.split(column, [None, lanes])
    sch.reorder(k, channel, vector, lane)
    sch.unroll(k)
    keep_in_registers(sch, [channel, vector], lane)
    sch.decompose_reduction(conv, k)
    sch.vectorize(sch.get_loops(sch.get_sblock("wide"))[-1])


def _sizes(sch: s_tir.Schedule, core: CpuCore) -> tuple[int, int, int]:
    """Channels of the result, vectors in a row of it, and their lanes."""
    axes = sch.get(sch.get_sblock("conv")).iter_vars
    _, channels, columns, _ = (int(axis.dom.extent) for axis in axes)
    lanes = even_lanes(columns, core.lanes)
    return channels, columns // lanes, lanes


FAMILY = KernelFamily(
    "planar_pointwise",
    "1x1 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
    fusion=replace(
        ALL_NEIGHBOURS, recomputed=("planar_conv",), recomputing="planar_conv_pointwise"
    ),
)
