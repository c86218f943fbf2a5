"""Keeps warnings that TVM's C++ writes to stderr away, while Python's own lines still come."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def compiler_silenced() -> Iterator[None]:
    """Around what makes TVM warn of every candidate that a search then leaves out."""
    sys.stderr.flush()
    python, kept = sys.stderr, os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        with os.fdopen(os.dup(kept), "w", buffering=1) as stream:
            sys.stderr = stream
            os.dup2(nowhere, 2)
            yield
    finally:
        sys.stderr = python
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
