"""Fixture for tests that run Vulkan: SwiftShader, which plays a GPU; Chromium's package has it."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest
from needed_in_ci import give_up

_SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")


@pytest.fixture(scope="session")
def software_vulkan() -> Iterator[str]:
    """The only driver of Vulkan for processes started meanwhile; skips where it is not installed,
    but fails in CI."""
    if not _SWIFTSHADER.exists() or find_library("vulkan") is None:
        reason = f"no {_SWIFTSHADER} or no libvulkan.so.1 (apt-get install chromium libvulkan1)"
        give_up("Vulkan", reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VK_DRIVER_FILES", str(_SWIFTSHADER))
        yield "SwiftShader"
