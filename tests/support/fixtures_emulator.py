"""Fixture for tests that run arm64 code: the emulated board, made once and kept in the cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from needed_in_ci import give_up

from compile.support.errors import TargetError
from device.emulated.arm64.command import QEMU
from device.emulated.arm64.make_root import default_root, is_current, make_root


@pytest.fixture(scope="session")
def arm64_root() -> Path:
    """The emulated board's root; skips where it cannot be had, but fails in CI (CI=true)."""
    root = default_root(os.environ)
    if shutil.which(QEMU) is None:
        give_up("the arm64 code", f"{QEMU} is not installed (apt-get install qemu-user)")
    if not is_current(root):
        try:
            make_root(root)
        except TargetError as error:
            give_up("the arm64 code", str(error))
    return root
