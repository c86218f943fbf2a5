"""The plugin's caches against another model of them."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import pytest
from compiled_c import compiled

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
