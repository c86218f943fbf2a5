"""How much memory this machine has left."""

from __future__ import annotations

import os
import re
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
