"""Fixture for tests that compile for a Mali: Mesa's compiler, fetched once and kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from compile.support.errors import TargetError
from device.emulated.arm64.command import QEMU
from device.emulated.mali.make_compiler import default_compiler, make_compiler


@pytest.fixture(scope="session")
def mali_compiler() -> Path:
    """The compiler's folder. Skips without QEMU or without the packages, in CI as well: they are of
    a Debian release that is not the machine's own, which its archive may not have."""
    root = default_compiler(os.environ)
    if shutil.which(QEMU) is None:
        pytest.skip(f"{QEMU} is not installed (apt-get install qemu-user)")
    try:
        make_compiler(root)
    except TargetError as error:
        pytest.skip(str(error))
    return root
