"""What the machine lacks for a test: a reason to skip it, but not in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def give_up(what: str, reason: str) -> NoReturn:
    """Skips the test, which runs ``what``, for ``reason``; fails it in CI (CI=true)."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to run {what}: {reason}")
    pytest.skip(reason)
