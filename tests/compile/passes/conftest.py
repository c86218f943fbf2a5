"""What the tests of several passes need."""

from __future__ import annotations

import pytest

from compile.kernels.common.tiling import VectorUnit


@pytest.fixture
def unit() -> VectorUnit:
    """A vector unit that every processor here can run: 128 bits, one thread."""
    return VectorUnit(bits=128, registers=16, threads=1)
