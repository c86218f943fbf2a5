"""An inverted residual block as one kernel computes what its convolutions do, bit for bit.

What it computes is checked for every instruction on any machine, its loops with the instructions of
this one; those of sdot and smlal run under the emulator.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import small_net
import tvm
from dot_instructions import runnable
from hypothesis import given
from inverted_residuals import BLOCKS, PLAIN, Drawn
from kernel_draws import draws, seeds
from kernel_runner import built_kernel
from tvm import relax, tirx

from compile.codegen.cpu_pipeline import CPU_PIPELINE
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.arm_sdot import sdot
from compile.kernels.cpu.instructions.arm_smlal import smlal
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.x86_pmaddwd import pmaddwd
from compile.kernels.cpu.instructions.x86_vnni import vnni
from compile.kernels.cpu.inverted_residual.inverted_residual import create_inverted_residual
from compile.kernels.cpu.inverted_residual.inverted_residual_sizes import InvertedResidual
from compile.kernels.cpu.inverted_residual.tile_inverted_residual import cut_inverted_residual
from compile.passes.apply_default_schedule import apply_default_schedule
from device.emulated.arm64.run_module import run_all_on_board
from targets.load_target import load_target

by_block = pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))


@cache
def unscheduled(block: InvertedResidual, dot: DotProduct) -> tvm.runtime.Module:
    kernel = create_inverted_residual(block, dot).with_attr("global_symbol", "kernel")
    return tvm.compile(tvm.IRModule({"kernel": kernel}), "llvm", tir_pipeline=CPU_PIPELINE)


@by_block
@pytest.mark.parametrize(
    "dot", [sdot(), smlal(), vnni(512), pmaddwd(256)], ids=lambda dot: dot.name
)
def test_stages_compute_the_block(block: InvertedResidual, dot: DotProduct) -> None:
    drawn = Drawn(block, seed=0)
    out = tvm.runtime.tensor(np.full(drawn.expected.shape, 85, np.int8))
    tensors = [tvm.runtime.tensor(array) for array in drawn.operands(dot)]
    unscheduled(block, dot)["kernel"](*tensors, out)
    np.testing.assert_array_equal(out.numpy(), drawn.expected)
    assert len(np.unique(drawn.expected)) > 20


@pytest.mark.parametrize(
    ("dot", "core"),
    runnable(),
    ids=lambda p: getattr(p, "name", None) or f"{p.bits}bit",
)
@by_block
@given(seed=seeds)
@draws
def test_scheduled_kernel_computes_the_block(
    block: InvertedResidual, dot: DotProduct, core: CpuCore, seed: int
) -> None:
    drawn = Drawn(block, seed)
    kernel = built_kernel(core, create_inverted_residual, block, dot)
    np.testing.assert_array_equal(kernel(*drawn.operands(dot)), drawn.expected)


@pytest.mark.parametrize(
    ("dot", "target"), [(sdot(), "cortex-a76"), (smlal(), "rpi4")], ids=["sdot", "smlal"]
)
def test_kernels_of_arm_compute_the_blocks(
    arm64_root: Path, tmp_path: Path, dot: DotProduct, target: str
) -> None:
    spec, core = load_target(target), CpuCore(128, 32, 1)
    builder = relax.BlockBuilder()
    blocks = {f"block{number}": BLOCKS[number] for number in (2, 4, 6, 10)}
    for name, block in blocks.items():
        kernel = create_inverted_residual(block, dot)
        params = [relax.Var(p.name, relax.TensorType(*_type(p))) for p in kernel.params[:-1]]
        with builder.function(name, params):
            result = relax.TensorType(*_type(kernel.params[-1]))
            call = relax.op.call_tir(builder.add_func(kernel, f"{name}_kernel"), params, result)
            builder.emit_func_output(builder.emit(call))
    module = apply_default_schedule(core)(builder.get())
    small_net.export(module, spec, tmp_path / "blocks.so")
    drawn = {name: Drawn(block, 1, dot.least_weight) for name, block in blocks.items()}
    calls = [(name, block.operands(dot)) for name, block in drawn.items()]
    found = run_all_on_board(arm64_root, tmp_path / "blocks.so", calls, cpu=spec.processor.cpu)
    for (result,), block in zip(found, drawn.values(), strict=True):
        np.testing.assert_array_equal(result, block.expected)


def _type(param: tirx.Var) -> tuple[list[int], str]:
    return [int(extent) for extent in param.ty.shape], str(param.ty.dtype.dtype)


UNIT = CpuCore(512, 32, 1, l2_bytes=1 << 20)
LARGE = replace(
    PLAIN, height=192, width=320, channels_in=48, low_channels=16, factor=2, expanded=384,
    row_block=192, channel_block=384,
)  # fmt: skip


def cut(block: InvertedResidual, **core: int) -> tuple[int, int] | None:
    """(row block, channel block), checked to cover the block in whole parts."""
    found = cut_inverted_residual(block, vnni(512), replace(UNIT, **core))
    if found is None:
        return None
    assert found == replace(block, row_block=found.row_block, channel_block=found.channel_block)
    assert found.output_size[0] % found.row_block == found.expanded % found.channel_block == 0
    return found.row_block, found.channel_block


def test_a_block_that_fits_is_one_row_block() -> None:
    assert cut(replace(LARGE, height=16, width=16)) == (16, 48)


def test_channel_blocks_are_whole_vectors_and_no_more_than_enough() -> None:
    assert cut(replace(PLAIN, expanded=240)) == (12, 48)
    assert cut(replace(PLAIN, expanded=112)) == (12, 112)
    assert cut(replace(PLAIN, expanded=32)) == (12, 32)


def test_row_blocks_are_as_tall_as_the_cache_has_room() -> None:
    row_blocks = [cut(LARGE, l2_bytes=1 << bits)[0] for bits in (20, 21, 24)]
    assert row_blocks == [16, 48, 192]


def test_where_tall_row_blocks_do_not_fit_channel_blocks_are_smaller() -> None:
    assert cut(LARGE, l2_bytes=1 << 19) == (12, 32)


def test_every_thread_has_its_part() -> None:
    small = replace(LARGE, height=64, width=64)
    assert [cut(small, threads=threads, l2_bytes=1 << 21)[0] for threads in (1, 2, 4)] == [
        64,
        32,
        16,
    ]


def test_not_where_much_would_be_computed_twice() -> None:
    assert cut(replace(LARGE, height=16, width=16), threads=2) is None
    assert cut(LARGE, l2_bytes=1 << 16) is None


def test_row_blocks_begin_at_rows_of_the_smaller_picture() -> None:
    odd = replace(LARGE, height=27, width=27, factor=3)
    row_block, _ = cut(odd, l2_bytes=1 << 17)
    assert row_block % 3 == 0


def test_overlap_counts_for_windows_without_one() -> None:
    """Windows that do not overlap may be cut as finely as the cache asks for."""
    apart = replace(LARGE, window=Window((2, 2), (2, 2), (0, 0, 0, 0)), low_channels=0, factor=1)
    row_block, channel_block = cut(replace(apart, row_block=96), l2_bytes=1 << 16)
    assert row_block < 12 and channel_block == 48
