"""How much memory this machine has left, and what this process does with its own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator
from pathlib import Path


def free_memory() -> int:
    """Bytes that new work can have without swapping, the kernel's estimate on Linux."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let this process keep what it frees in blocks of up to 32 MB for the next that it needs.

    Else GNU's C library gives pictures back to the system, which zeroes their pages when they are
    needed again: a tenth of the time of a photograph. Enter it before the threads that share this
    memory begin. Does nothing with another C library.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        yield
        return
    library.mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    library.mallopt(_ARENA_MAX, 1)
    try:
        yield
    finally:
        # As the library itself sets them after such a block.
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_BLOCK)
        library.mallopt(_ARENA_MAX, 0)
        library.malloc_trim(0)


# malloc.h, and the largest block that its mallopt takes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGEST_BLOCK, _NEVER = 1 << 25, 1 << 30
