"""The plugin's C, compiled by itself: caches against another model of them, and the classes of
instructions against their encodings."""

from __future__ import annotations

import ctypes
import subprocess
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from device.emulated.arm64.counting_plugin import _FOLDER
from targets.timing_model import INSTRUCTION_CLASSES

_CACHES = """
#include "cache_model.h"
uint64_t misses(uint64_t sets, uint64_t ways, const uint64_t *lines, uint64_t count) {
  struct cache cache;
  cache_make(&cache, sets, ways);
  for (uint64_t i = 0; i < count; i++) cache_use(&cache, lines[i]);
  free(cache.lines);
  return cache.misses;
}
"""
_CLASSES = """
#include <stddef.h>
#include "qemu_plugin_v1.h"
#include "classify_arm64.h"
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn) { return insn; }
void times_of(const uint32_t *word, uint8_t *times) {
  struct instruction found = classify((struct qemu_plugin_insn *)word);
  memcpy(times, found.times, sizeof found.times);
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


def compiled(folder: Path, source: str) -> ctypes.CDLL:
    (folder / "test.c").write_text(source)
    command = [
        "cc",
        "-O1",
        "-Wall",
        "-Werror",
        "-Wno-unused-function",
        "-shared",
        "-fPIC",
        f"-I{_FOLDER}",
    ]
    command += ["-o", str(folder / "test.so"), str(folder / "test.c")]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / "test.so"))


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ctypes.CDLL]:
    library = compiled(tmp_path_factory.mktemp("caches"), _CACHES)
    library.misses.restype = ctypes.c_uint64
    yield library


def misses(caches: ctypes.CDLL, sets: int, ways: int, lines: np.ndarray) -> int:
    lines = np.ascontiguousarray(lines, np.uint64)
    pointer = lines.ctypes.data_as(ctypes.POINTER(ctypes.c_uint64))
    return caches.misses(*(ctypes.c_uint64(n) for n in (sets, ways)), pointer, lines.size)


def expected_misses(sets: int, ways: int, lines: np.ndarray) -> int:
    """By dictionaries that remember the order of their keys."""
    cache: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(sets)]
    count = 0
    for line in lines.tolist():
        lru = cache[line % sets]
        if line not in lru:
            count += line - 1 not in cache[(line - 1) % sets]
            if len(lru) == ways:
                lru.popitem(last=False)
        lru[line] = None
        lru.move_to_end(line)
    return count


@pytest.mark.parametrize(("sets", "ways"), [(1, 1), (1, 4), (8, 1), (16, 4), (64, 12)])
@pytest.mark.parametrize("seed", [0, 1])
def test_misses_are_those_of_another_model(
    caches: ctypes.CDLL, sets: int, ways: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    lines = 1 + random.integers(0, 3 * sets * ways, 5000)
    # Runs of neighbours, as rows of a picture are.
    lines = (lines[:, None] + np.arange(random.integers(1, 5))).ravel()
    found = misses(caches, sets, ways, lines)
    assert found == expected_misses(sets, ways, lines)
    assert 0 < found < lines.size


def test_what_fits_is_missed_once_and_a_stream_at_its_beginning(caches: ctypes.CDLL) -> None:
    every_other = np.arange(2, 2 + 2 * 64, 2)
    assert misses(caches, 32, 4, np.tile(every_other, 10)) == 64
    assert misses(caches, 16, 2, np.tile(every_other, 10)) == 640
    assert misses(caches, 16, 2, np.arange(1000, 5000)) == 1


@pytest.mark.parametrize("text", ENCODINGS)
def test_classes_of_instructions(tmp_path: Path, text: str) -> None:
    word, expected = ENCODINGS[text]
    times = (ctypes.c_uint8 * len(INSTRUCTION_CLASSES))()
    compiled(tmp_path, _CLASSES).times_of(ctypes.byref(ctypes.c_uint32(word)), times)
    found = {name: n for name, n in zip(INSTRUCTION_CLASSES, times, strict=True) if n}
    assert found == expected
