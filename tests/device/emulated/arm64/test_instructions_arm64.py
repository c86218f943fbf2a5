"""What the counting plugin knows of an instruction: its class and its registers, against their
encodings, and how long a core that issues in order takes for a few of them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import pytest
from compiled_c import compiled

from targets.load_target import load_target
from targets.timing_model import INSTRUCTION_CLASSES

_SOURCE = """
#include <stddef.h>
#include "qemu_plugin_v1.h"
#include "classify_arm64.h"
#include "in_order_step.h"
#include "registers_arm64.h"
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn) { return insn; }
void times_of(const uint32_t *word, uint8_t *times) {
  struct instruction found = classify((struct qemu_plugin_insn *)word);
  memcpy(times, found.times, sizeof found.times);
}
void registers_of(const uint32_t *word, struct operands *found) {
  *found = operands_of((struct qemu_plugin_insn *)word);
}
uint64_t time_of(const uint32_t *words, size_t count, const struct core_timing *core) {
  struct scoreboard board = {0};
  for (size_t index = 0; index < count; index++) {
    struct qemu_plugin_insn *insn = (struct qemu_plugin_insn *)(words + index);
    struct instruction found = classify(insn);
    struct step step = step_of(&found, operands_of(insn), core);
    scoreboard_issue(&board, &step);
  }
  return board.now;
}
"""
#: As `llvm-mc -triple=aarch64 -mattr=+all -show-encoding` has them.
ENCODINGS = {
    "ldr q0, [x0]": (0x3DC00000, {"load_quad": 1}),
    "ldp q0, q1, [x0]": (0xAD400400, {"load_quad": 2}),
    "ldur q0, [x0, #-8]": (0x3CDF8000, {"load_quad": 1}),
    "ldr q0, [x0, x1]": (0x3CE16800, {"load_quad": 1}),
    "ldr d0, [x0]": (0xFD400000, {"load": 1}),
    "ldp d0, d1, [x0]": (0x6D400400, {"load": 2}),
    "ldr x0, [x1]": (0xF9400020, {"load": 1}),
    "ldrsw x0, [x1]": (0xB9800020, {"load": 1}),
    "ldp x29, x30, [sp], #16": (0xA8C17BFD, {"load": 2}),
    "ld1 {v0.16b-v3.16b}, [x0]": (0x4C402000, {"load_quad": 4}),
    "ld1 {v0.8b, v1.8b}, [x0]": (0x0C40A000, {"load": 2}),
    "ld1r {v0.4s}, [x0]": (0x4D40C800, {"load": 1}),
    "str q0, [x0]": (0x3D800000, {"store_quad": 1}),
    "stp q0, q1, [x0]": (0xAD000400, {"store_quad": 2}),
    "str s0, [x0]": (0xBD000000, {"store": 1}),
    "strb w0, [x1]": (0x39000020, {"store": 1}),
    "stp x29, x30, [sp, #-16]!": (0xA9BF7BFD, {"store": 2}),
    "sdot v0.4s, v1.16b, v2.16b": (0x4E829420, {"dot_product": 1}),
    "sdot v0.4s, v1.16b, v2.4b[0]": (0x4F82E020, {"dot_product": 1}),
    "smmla v0.4s, v1.16b, v2.16b": (0x4E82A420, {"dot_product": 1}),
    "fmla v0.4s, v1.4s, v2.4s": (0x4E22CC20, {"floating": 1}),
    "add x0, x1, x2": (0x8B020020, {"other": 1}),
    "b.ne #0": (0x54000001, {"other": 1}),
}
#: Registers that are read and written by number, those of vectors from 32 on, 64 for the flags; the
#: register that is added to, and the address that is stepped on.
REGISTERS = {
    "cmp w2, w3": (0x6B03005F, [2, 3], [64], None, None),
    "madd x1, x2, x3, x4": (0x9B031041, [2, 3, 4], [1], None, None),
    "csel x1, x2, x3, ne": (0x9A831041, [2, 3, 64], [1], None, None),
    "bfi x1, x2, #2, #3": (0xB37E0841, [1, 2], [1], None, None),
    "movk x1, #3": (0xF2800061, [1], [1], None, None),
    "mov x1, #3": (0xD2800061, [], [1], None, None),
    "b.ne #16": (0x54000081, [64], [], None, None),
    "ldr q1, [x2], #16": (0x3CC10441, [2], [33], None, 2),
    "ldp x1, x4, [x2], #16": (0xA8C11041, [2], [1, 4], None, 2),
    "stp q1, q2, [x3], #32": (0xAC810861, [3], [], None, 3),
    "ld1 {v1.16b, v2.16b}, [x2], x3": (0x4CC3A041, [2, 3], [33, 34], None, 2),
    "ld1 {v1.s}[1], [x2]": (0x0D409041, [2, 33], [33], None, None),
    "ld4r {v30.8b-v1.8b}, [x5]": (0x0D60E0BE, [5], [32, 33, 62, 63], None, None),
    "prfm pldl1keep, [x2]": (0xF9800040, [2], [], None, None),
    "fmadd s1, s2, s3, s4": (0x1F031041, [34, 35, 36], [33], None, None),
    "fcmp s1, s2": (0x1E222020, [33, 34], [64], None, None),
    "scvtf s1, w2": (0x1E220041, [2], [33], None, None),
    "fcvtzs w1, s2": (0x1E380041, [34], [1], None, None),
    "fmla v1.4s, v2.4s, v3.4s": (0x4E23CC41, [34, 35], [33], 33, None),
    "bsl v1.16b, v2.16b, v3.16b": (0x6E631C41, [33, 34, 35], [33], None, None),
    "sdot v1.4s, v2.16b, v19.4b[3]": (0x4FB3E841, [34, 51], [33], 33, None),
    "smlal v1.4s, v2.4h, v3.h[7]": (0x0F732841, [34, 35], [33], 33, None),
    "mul v1.8h, v2.8h, v3.h[5]": (0x4F538841, [34, 35], [33], None, None),
    "sadalp v1.4s, v2.8h": (0x4E606841, [34], [33], 33, None),
    "xtn2 v1.8h, v2.4s": (0x4E612841, [33, 34], [33], None, None),
    "sshll v1.8h, v2.8b, #0": (0x0F08A441, [34], [33], None, None),
    "ssra v1.4s, v2.4s, #3": (0x4F3D1441, [34], [33], 33, None),
    "movi v1.4s, #3": (0x4F000461, [], [33], None, None),
    "dup v1.4s, w2": (0x4E040C41, [2], [33], None, None),
    "ins v1.s[1], w2": (0x4E0C1C41, [2, 33], [33], None, None),
    "umov w1, v2.s[1]": (0x0E0C3C41, [34], [1], None, None),
    "tbl v1.16b, {v2.16b, v3.16b}, v4.16b": (0x4E042041, [34, 35, 36], [33], None, None),
}
_NO_REGISTER = 255

LOAD, LOAD_AND_STEP, LOAD_OTHER = 0x3DC00000, 0x3CC10400, 0x3DC00006  # q0, q0, q6 of [x0]
LOAD_FOUR, STORE = 0x4C402001, 0x3D800121  # v1 to v4 of [x0]; q1 to [x9]
DOT_OF_LOADED = 0x4E829401  # sdot v1, v0, v2
DOT, DOT_ELSEWHERE = 0x4E859481, 0x4E859483  # sdot v1, v4, v5 and v3, v4, v5
LONG_MULTIPLY, FLOAT_MULTIPLY, MULTIPLY = 0x0E658081, 0x4E25CC81, 0x4EA59C81  # smlal, fmla, mul v1
ADD_SUM, ADD, ADD_LOADED = 0x4EA18427, 0x8B040062, 0x4EA48487  # v7 = v1 + v1; x2; v7 = v4 + v4
#: Instructions, and cycles on a Cortex-A55: without waiting, a dot product takes one, a load of a
#: vector two, an addition of integers a half.
TIMES = {
    "nothing waits": ([DOT, DOT_ELSEWHERE, ADD, ADD], 3),
    "a load is used at once": ([LOAD, DOT_OF_LOADED], 4 + 1),
    "a load is used behind others": ([LOAD, LOAD_OTHER, DOT_ELSEWHERE, DOT_OF_LOADED], 6),
    "who follows waits, too": ([LOAD, DOT_OF_LOADED, DOT_ELSEWHERE], 6),
    "the last register of four": ([LOAD_FOUR, ADD_LOADED], 3 + 7 + 1),
    "an address is there the next cycle": ([LOAD_AND_STEP, LOAD_OTHER], 4),
    "a store does not wait for what it stores": ([DOT, STORE], 2),
    "sums are handed on": ([DOT] * 10, 10),
    "not to another kind": ([DOT, LONG_MULTIPLY], 4 + 1),
    "not from a multiplication without a sum": ([MULTIPLY, LONG_MULTIPLY], 4 + 1),
    "not those of floats": ([FLOAT_MULTIPLY] * 10, 9 * 4 + 1),
    "not to others": ([DOT] * 2 + [ADD_SUM], 1 + 4 + 1),
}


class _Operands(ctypes.Structure):
    """`struct operands` of scoreboard.h."""

    _fields_ = [
        ("reads", ctypes.c_uint8 * 8),
        ("writes", ctypes.c_uint8 * 5),
        *((name, ctypes.c_uint8) for name in ("read_count", "write_count", "accumulator", "base")),
    ]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    library = compiled(tmp_path_factory.mktemp("instructions"), _SOURCE)
    library.time_of.restype = ctypes.c_uint64
    return library


@pytest.mark.parametrize("text", ENCODINGS)
def test_classes_of_instructions(plugin: ctypes.CDLL, text: str) -> None:
    word, expected = ENCODINGS[text]
    times = (ctypes.c_uint8 * len(INSTRUCTION_CLASSES))()
    plugin.times_of(ctypes.byref(ctypes.c_uint32(word)), times)
    found = {name: n for name, n in zip(INSTRUCTION_CLASSES, times, strict=True) if n}
    assert found == expected


@pytest.mark.parametrize("text", REGISTERS)
def test_registers_of_instructions(plugin: ctypes.CDLL, text: str) -> None:
    word, reads, writes, accumulator, base = REGISTERS[text]
    found = _Operands()
    plugin.registers_of(ctypes.byref(ctypes.c_uint32(word)), ctypes.byref(found))
    assert sorted(found.reads[: found.read_count]) == reads
    assert sorted(found.writes[: found.write_count]) == writes
    expected = (_NO_REGISTER if number is None else number for number in (accumulator, base))
    assert (found.accumulator, found.base) == tuple(expected)


def cycles(plugin: ctypes.CDLL, words: Sequence[int]) -> float:
    """Of a Cortex-A55."""
    options = dict(
        option.split("=") for option in load_target("cortex-a55").timing.plugin_options()
    )
    costs = [int(options[name]) for name in INSTRUCTION_CLASSES]
    as_named = {"load_quad": "load", "store": None, "store_quad": None}
    names = [as_named.get(name, name) for name in INSTRUCTION_CLASSES]
    latencies = [0 if name is None else int(options[f"latency_{name}"]) for name in names]
    figures = [*costs, *latencies, int(options["latency_sum"])]
    core = (ctypes.c_uint64 * len(figures))(*figures)
    code = (ctypes.c_uint32 * len(words))(*words)
    return plugin.time_of(code, ctypes.c_size_t(len(words)), core) / 1000


@pytest.mark.parametrize("what", TIMES)
def test_times_of_a_core_that_issues_in_order(plugin: ctypes.CDLL, what: str) -> None:
    words, expected = TIMES[what]
    assert cycles(plugin, words) == expected
