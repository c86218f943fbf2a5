"""Fixtures for tests that run OpenCL: a device, and the plugin, built once and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import filelock
import pytest
import tvm
from fixtures_device import Served
from needed_in_ci import give_up

from compile.support.errors import MqnetError
from device.opencl.autoload import load_plugin
from device.opencl.build_plugin import build_plugin
from device.opencl.plugin import plugin_path


@pytest.fixture(scope="session")
def opencl_plugin() -> Path:
    """The plugin for this machine; skips where it cannot be built, but fails in CI (CI=true)."""
    machine = os.uname().machine
    path = plugin_path(machine, os.environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_suffix(".lock")):
        if not path.exists():
            try:
                build_plugin(machine, path)
            except MqnetError as error:
                give_up("OpenCL", str(error))
    return path


@pytest.fixture(scope="session")
def opencl_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of compiled programs, empty at first."""
    folder = tmp_path_factory.mktemp("opencl-programs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MQNET_OPENCL_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def opencl(opencl_plugin: Path, opencl_cache: Path) -> tvm.runtime.Device:
    """An OpenCL device; skips where there is none, but fails in CI."""
    load_plugin()
    device = tvm.opencl(0)
    if not device.exist:
        reason = "no OpenCL device (apt-get install pocl-opencl-icd ocl-icd-libopencl1)"
        give_up("OpenCL", reason)
    return device


@pytest.fixture(scope="module")
def gpu_board(
    opencl_plugin: Path, serve: Callable[..., AbstractContextManager[Served]]
) -> Iterator[Served]:
    """This machine as a device, whose sessions use OpenCL."""
    with serve("gpu-board") as served:
        yield served
