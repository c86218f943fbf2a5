"""Reads what Mesa's compiler for Valhall writes about a kernel: blocks of instructions, statistics.

It writes the kernel several times, the last time with registers, and a line of statistics::

    block0 {
            r0:r1 = SHADDX.s64 r10:r11, r4:r5^, shift:0
            r4 = LOAD.i32 r0^, r1^, byte_offset:0
    } -> block2 block1
    ...
    MESA_SHADER_KERNEL shader: 104 instrs, ... 2 threads, 0 loops, 0:0 spills:fills, ...
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from compile.support.errors import TargetError

_BLOCK = re.compile(r"block(\d+) \{")
_END = re.compile(r"\}(?: -> ((?:block\d+ ?)+))?")
_SUCCESSOR = re.compile(r"block(\d+)")
_OPCODE = re.compile(r"\s+(?:[\w:^\[\]., ]+ = )?([A-Z][A-Z0-9_]*)\b")
_STATISTICS = re.compile(r"MESA_SHADER_KERNEL shader: (.*)")
_FIGURE = re.compile(r"([\d.]+(?::[\d.]+)?) ([a-z:]+(?: [a-z:]+)*)")

_ACCESSES = re.compile(r"LOAD|STORE|LD_|ST_|LEA_|ATOM")
#: Multiplies four int8 by four and adds the products to an int32.
_DOT_PRODUCT = "IDPADD"
_FETCH = "TEX_FETCH"


@dataclass(frozen=True)
class Counts:
    """Instructions of one work item.

    Attributes:
        instructions: all of them.
        accesses: loads and stores, each of 16 bytes at the most.
        dot_products: of four int8 by four.
        fetches: pixels of images, which the texture unit loads.
    """

    instructions: int
    accesses: int
    dot_products: int
    fetches: int

    def __add__(self, other: Counts) -> Counts:
        """Of both."""
        return Counts(
            self.instructions + other.instructions,
            self.accesses + other.accesses,
            self.dot_products + other.dot_products,
            self.fetches + other.fetches,
        )

    def __mul__(self, times: int) -> Counts:
        """Of so many of it."""
        return Counts(
            self.instructions * times,
            self.accesses * times,
            self.dot_products * times,
            self.fetches * times,
        )


@dataclass(frozen=True)
class Shader:
    """A kernel as Mesa has compiled it.

    Attributes:
        registers: of 32 bits that a work item uses; at more than 32 half as many run at once.
        spills, fills: registers stored to memory, and loaded from there.
        blocks: in the order of the code.
        loops: (first, last) block of each, in the order of their first ones.
    """

    registers: int
    spills: int
    fills: int
    blocks: tuple[Counts, ...]
    loops: tuple[tuple[int, int], ...]

    def counts(self, iterations: Sequence[int]) -> Counts:
        """What a work item executes, where the loops run so often; both sides of a condition."""
        total = Counts(0, 0, 0, 0)
        for place, block in enumerate(self.blocks):
            times = [
                count
                for (first, last), count in zip(self.loops, iterations, strict=True)
                if first <= place <= last
            ]
            total += block * prod(times)
        return total


def read_shader(text: str) -> Shader:
    """The kernel that ``text`` tells of.

    Raises:
        TargetError: it does not read as expected: another version of Mesa, or no Valhall.
    """
    statistics = _STATISTICS.findall(text)
    if not statistics:
        raise TargetError("Mesa's compiler has written no statistics of a Valhall kernel")
    # The last is that of a kernel which is started without an offset, as all of ours are.
    figures = {name: value for value, name in _FIGURE.findall(statistics[-1])}
    blocks, loops = _last_listing(text)
    missing = {"instrs", "registers used", "spills:fills"} - figures.keys()
    found = sum(block.instructions for block in blocks)
    if missing or str(found) != figures["instrs"]:
        raise TargetError(
            f"Mesa's compiler writes its listings in another way than 26.1: {found} instructions "
            f"read, and of itself it says '{statistics[-1]}'"
        )
    spills, fills = map(int, figures["spills:fills"].split(":"))
    return Shader(int(figures["registers used"]), spills, fills, blocks, loops)


def _last_listing(text: str) -> tuple[tuple[Counts, ...], tuple[tuple[int, int], ...]]:
    """Blocks and loops: a block that goes on with an earlier one closes a loop."""
    places: dict[int, int] = {}
    blocks: list[Counts] = []
    loops: list[tuple[int, int]] = []
    inside = False
    for line in text.splitlines():
        if begin := _BLOCK.match(line):
            if begin[1] == "0":
                places, blocks, loops = {}, [], []
            places[int(begin[1])] = len(blocks)
            blocks.append(Counts(0, 0, 0, 0))
            inside = True
        elif inside and (end := _END.match(line)):
            inside = False
            for successor in _SUCCESSOR.findall(end[1] or ""):
                if int(successor) in places:
                    loops.append((places[int(successor)], len(blocks) - 1))
        elif inside and (opcode := _OPCODE.match(line)):
            is_access, is_dot = bool(_ACCESSES.match(opcode[1])), opcode[1] == _DOT_PRODUCT
            blocks[-1] += Counts(1, int(is_access), int(is_dot), int(opcode[1] == _FETCH))
    return tuple(blocks), tuple(sorted(loops))
