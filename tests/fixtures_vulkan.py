"""Fixture for tests that run Vulkan: SwiftShader, which plays a GPU; Chromium's package has it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")


@pytest.fixture(scope="session")
def software_vulkan() -> Iterator[str]:
    """The only driver of Vulkan for processes started meanwhile; skips where it is not installed,
    but fails in CI."""
    if not _SWIFTSHADER.exists():
        reason = f"no {_SWIFTSHADER} (apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI has to run Vulkan: {reason}")
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VK_DRIVER_FILES", str(_SWIFTSHADER))
        yield "SwiftShader"
