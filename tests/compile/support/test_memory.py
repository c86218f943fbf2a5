"""What a process does with memory that it frees."""

from __future__ import annotations

import subprocess
import sys

# Pages that the system gives for 80 MB which the process has had, and freed, before.
_NEW_PAGES = """
import contextlib, resource
from compile.support.memory import freed_memory_kept
stack = contextlib.ExitStack()
{}
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(20_000_000) for _ in range(4)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _new_pages(first: str) -> int:
    command = [sys.executable, "-c", _NEW_PAGES.format(first)]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


def test_freed_memory_is_kept() -> None:
    enter = "stack.enter_context(freed_memory_kept())"
    assert _new_pages(enter) < 100 < 4000 < _new_pages("")
    assert _new_pages(f"{enter}; stack.close()") > 4000
