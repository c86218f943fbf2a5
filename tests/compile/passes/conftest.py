"""What the tests of several passes need."""

from __future__ import annotations

import pytest

from compile.kernels.common.core_model import CpuCore


@pytest.fixture
def core() -> CpuCore:
    """A vector unit that every processor here can run: 128 bits, one thread."""
    return CpuCore(bits=128, registers=16, threads=1)
