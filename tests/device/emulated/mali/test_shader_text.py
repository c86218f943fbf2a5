"""What is read of Mesa's listing of a kernel."""

from __future__ import annotations

import pytest

from bench.counts.gpu_launches import GpuLaunch
from compile.support.errors import TargetError
from device.emulated.mali.shader_text import Counts, read_shader

# As Mesa 26.1 writes it: the listing before registers are given out, that behind, a disassembly.
LISTING = """\
block0 {
32      %1 = MOV.i32 r55
}
block0 {
        r0 = MOV.i32 u256
        r0:r1 = SHADDX.s64 r10:r11, r4:r5^, shift:0
} -> block1

block1 {
        r4 = LOAD.i32.flow1 r0^, r1^, byte_offset:0
        r8 = IDPADD.v4s8 r4^, r5, r8^
        BRANCHZ.i16.eq.reconverge r2^.h00 -> block3
} -> block3 block2  from block0 block2
block2 {
        NOP
        r4:r5:r6:r7 = TEX_FETCH.flow1.rgba.2d.s32 r4:r5, r6^, r7^, sr_count:2
} -> block1  from block1
block3 {
        STORE.i128.flow15 r8:r9:r10:r11, r2^, r3^, byte_offset:0
} from block1

   MOV.i32 r0, u256
"""
STATISTICS = (
    "MESA_SHADER_KERNEL shader: {} instrs, 1.0 cycles, 0.5 fma, 2 threads, 1 loops, 3:4 "
    "spills:fills, 0 spill cost, 21 registers used, 3 uniforms used\n"
)


def test_blocks_and_loops() -> None:
    shader = read_shader(LISTING + STATISTICS.format(8))
    assert (shader.registers, shader.spills, shader.fills) == (21, 3, 4)
    assert shader.blocks == (
        *(Counts(2, 0, 0, 0), Counts(3, 1, 1, 0), Counts(2, 0, 0, 1), Counts(1, 1, 0, 0)),
    )
    assert shader.loops == ((1, 2),)
    assert shader.counts([5]) == Counts(2 + 5 * 5 + 1, 5 + 1, 5, 5)


def test_a_listing_that_does_not_agree_with_itself() -> None:
    """A version that writes otherwise must not be counted wrong in silence."""
    with pytest.raises(TargetError, match="in another way .* 8 instructions read.*'9 instrs"):
        read_shader(LISTING + STATISTICS.format(9))


# Of a Bifrost, whose instructions are in pairs, and those in clauses.
BIFROST = """\
block0 {
        r1 = IADD.s32 u0, r3
        STORE.i32 r2, r1, r0, byte_offset:0
}


block0 {
id(0) wait(0 ) nbb r_uncond
\t*         r2 = IMUL.i32 t0, fau.y
\t+         r1 = IADD.s32 fau.x, r3
\t* NOP
\t+         STORE.i32 r2, r1, t1, byte_offset:0
1e00000002 300000000

}
MESA_SHADER_KERNEL shader: 3 instrs, 2 tuples, 1 clauses, 2.0 cycles, 1 threads, 0 loops, 0:0 \
spills:fills, 0 spill cost, 6 registers used, 6 uniforms used
"""


def test_a_listing_of_a_bifrost() -> None:
    with pytest.raises(TargetError, match="in another way .* 0 instructions read"):
        read_shader(BIFROST)


@pytest.mark.parametrize("text", ["", LISTING])
def test_no_statistics(text: str) -> None:
    with pytest.raises(TargetError, match="no statistics"):
        read_shader(text)


@pytest.mark.parametrize(
    ("loops", "left", "iterations"),
    [((3, 24), 1, [24]), ((3, 24), 2, [3, 24]), ((24, 3, 5), 2, [24, 5]), ((3,), 0, [])],
)
def test_the_shortest_loops_are_unrolled(
    loops: tuple[int, ...], left: int, iterations: list[int]
) -> None:
    assert GpuLaunch("f_kernel", "f", "", 8, 64, loops).iterations(left) == iterations
