"""Fixtures that every test may use."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fixtures_artefacts import artefact, build_cache, quantized_program, shared_folder
from fixtures_device import board, noise_is_no_drift, own_board, serve, tracker
from fixtures_emulator import arm64_root
from fixtures_mali import mali_compiler
from fixtures_native_server import native_server_file, start_native
from fixtures_opencl import gpu_board, opencl, opencl_cache, opencl_plugin
from fixtures_phone import attach, real_adb
from fixtures_vulkan import software_vulkan
from forked_command import server_of_workers
from hypothesis import settings
from quick_tvm_script import check_types_quickly, parse_quickly
from toy_network import toy
from worker_forks import fork_workers

from compile.support.quick_start import collect_rarely
from device.runtime.run_artefact import use_threads

__all__ = [
    "arm64_root",
    "artefact",
    "attach",
    "board",
    "build_cache",
    "gpu_board",
    "mali_compiler",
    "native_server_file",
    "noise_is_no_drift",
    "opencl",
    "opencl_cache",
    "opencl_plugin",
    "own_board",
    "quantized_program",
    "real_adb",
    "serve",
    "shared_folder",
    "software_vulkan",
    "start_native",
    "toy",
    "tracker",
]

# What a test says depends on the commit alone: on no clock, and on no draw of the day. For more and
# other draws: pytest --hypothesis-profile search.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("same")

# An environment may ask for no bytecode: each command of a test would compile every source anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# A shell starts `pytest &` with SIGINT ignored; what is interrupted in tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# TVM's threads look for work 300,000 times before they sleep, and a process that ends waits for
# them: on a busy machine for five minutes, with all tests passed.
os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", "1000")
collect_rarely()
parse_quickly()
check_types_quickly()
# Workers share the cores: with more threads than cores PyTorch's wait for each other, five to ten
# times longer than they compute.
torch.set_num_threads(1)
fork_workers(server_of_workers)
# Makes TVM's pool with all cores, before a test that does not care makes one with fewer.
use_threads(1)


#: The files that take longest, the longest first, so that all workers end together.
LONGEST = (
    "system/test_zoo.py",
    "system/test_opencl_network.py",
    "system/test_network_files.py",
    "system/test_end_to_end_arm64.py",
    "system/test_degenerate_pictures.py",
    "system/test_backbone_exact.py",
    "system/commands/test_help.py",
    "compile/quantize/test_quantize.py",
    "system/commands/test_tune_native.py",
    "compile/kernels/test_configurations.py",
    "system/test_end_to_end_host.py",
    "bench/session/test_interleave.py",
    "system/commands/test_phone_commands.py",
    "system/commands/test_device_commands.py",
    "system/test_user_networks.py",
    "system/commands/test_instruction_commands.py",
    "system/test_simulated_device.py",
    "system/commands/test_tune_commands.py",
    "system/test_installed.py",
    "bench/session/test_device.py",
    "compile/training/test_training.py",
    "system/test_package_networks.py",
    "compile/frontend/test_every_converter.py",
    "bench/counts/test_gpu_target.py",
    "system/test_standalone_arm64.py",
    "compile/kernels/cpu/inverted_residual/test_inverted_residual.py",
    "system/commands/test_latency_commands.py",
    "system/commands/test_gpu_instruction_commands.py",
    "system/test_mobile_ops.py",
    "system/commands/test_tune_devices.py",
    "compile/search/test_rpc_runner.py",
    "device/emulated/arm64/test_board.py",
    "system/commands/test_cached_builds.py",
    "system/test_reference.py",
    "compile/training/test_held_out.py",
    "system/test_standalone.py",
    "compile/records/test_shipped_logs.py",
    "device/opencl/test_opencl_plugin.py",
    "system/test_end_to_end_photographs.py",
    "system/test_standalone_opencl.py",
    "compile/search/test_cluster_builder.py",
    "device/opencl/test_opencl_errors.py",
    "compile/artefact/test_list_calls.py",
    "device/server/native/test_messages.py",
    "compile/networks/files/tflite/test_operators.py",
    "system/test_app_examples.py",
    "bench/engines/test_litert_gpu.py",
)


def pytest_xdist_auto_num_workers() -> int:
    """Run more workers than there are cores: a third of the time is waiting, for boards that are
    served, for emulators and for commands. One more, or two where there is memory for them."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return len(os.sched_getaffinity(0)) + (2 if memory > 16e9 else 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first, those of a file together and in their order."""
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(LONGEST)}
    assert all(path.is_file() for path in places)
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish() -> None:
    """Look for no garbage in what has been imported and collected: all of it stays."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def cores_are_left_alone() -> Iterator[None]:
    """No test may bind this process to fewer cores: a later build would see another machine."""
    before = os.sched_getaffinity(0)
    yield
    assert os.sched_getaffinity(0) == before
