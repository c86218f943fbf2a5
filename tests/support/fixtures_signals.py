"""Ctrl-C in tests, whatever the test run itself was started with."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT interrupts this process and those that it starts, for tests that send it.

    A shell starts ``pytest &`` with SIGINT ignored, a process hands that on to its children, and
    Python lets Ctrl-C be then.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
