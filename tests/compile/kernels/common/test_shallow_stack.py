"""What parses TVMScript sees few functions on its stack, and behaves as before."""

from __future__ import annotations

import inspect

import pytest

from compile.kernels.common.shallow_stack import on_shallow_stack


def _deep(depth: int) -> int:
    return _deep(depth - 1) if depth else _frames(0)


@on_shallow_stack
def _frames(offset: int) -> int:
    """Count them."""
    if offset < 0:
        raise ValueError("negative")
    return len(inspect.stack()) + offset


def test_how_deep_the_caller_stands_does_not_matter() -> None:
    assert _deep(100) == _frames(offset=0) < 12


def test_it_is_the_same_function_otherwise() -> None:
    assert _frames.__name__ == "_frames" and _frames.__doc__ == "Count them."
    with pytest.raises(ValueError, match="negative"):
        _frames(-1)
