"""Whether a machine can run what was built: one question, whoever asks."""

from __future__ import annotations

import pytest

from compile.artefact.compatibility import GpuNeeds, MachineFacts, TargetNeeds, why_not
from compile.codegen.opencl.dot_product import EXTENSIONS
from targets.load_target import load_target

HOST = MachineFacts("x86_64", frozenset({"avx2", "fma"}))
BOARD = MachineFacts("aarch64", frozenset({"asimd"}), name="the device")
PHONE = MachineFacts("aarch64", frozenset({"asimd"}), loads_android=True)
MALI = {"name": "Mali-G610", "work_group": 256, "extensions": f"cl_khr_fp16 {[*EXTENSIONS][0]}"}


@pytest.mark.parametrize(
    ("target", "machine", "clause"),
    [
        (TargetNeeds("EM_X86_64", ["avx2"], "host"), HOST, None),
        (
            TargetNeeds("EM_AARCH64", [], "linux-arm64"),
            HOST,
            "it holds EM_AARCH64 code and this machine is x86_64",
        ),
        (
            TargetNeeds("EM_X86_64", ["avx2", "avx512f"], "host"),
            HOST,
            "it needs the CPU features avx512f, which this machine lacks",
        ),
        (TargetNeeds("EM_AARCH64", [], "linux-arm64"), BOARD, None),
        (TargetNeeds("EM_AARCH64", [], "android-arm64"), BOARD, "Android's C library"),
        (TargetNeeds("EM_AARCH64", [], "android-arm64"), PHONE, None),
        (TargetNeeds("EM_X86_64", [], "host"), BOARD, "the device is aarch64"),
    ],
)
def test_processors(target: TargetNeeds, machine: MachineFacts, clause: str | None) -> None:
    reason = why_not(target, machine)
    assert reason is None if clause is None else clause in reason


@pytest.mark.parametrize(
    ("needs", "gpu", "clause"),
    [
        (GpuNeeds(256, True), MALI, None),
        (GpuNeeds(512, False), MALI, "takes work groups of 256 items, and it needs 512"),
        (GpuNeeds(64, True), MALI | {"extensions": "cl_khr_fp16"}, "Mali-G610 has none of cl_arm"),
        (GpuNeeds(64, False), {"error": "install a driver"}, "through OpenCL: install a driver"),
        # Nobody has asked the device.
        (GpuNeeds(512, True), None, None),
    ],
)
def test_gpus(needs: GpuNeeds, gpu: dict | None, clause: str | None) -> None:
    target = TargetNeeds("EM_AARCH64", [], "linux-arm64", needs)
    reason = why_not(target, MachineFacts("aarch64", frozenset(), gpu))
    assert reason is None if clause is None else clause in reason


def test_needs_of_a_target() -> None:
    needs = TargetNeeds.of(load_target("linux-mali"))
    assert needs.machine == "EM_AARCH64" and needs.gpu is not None
    assert TargetNeeds.of(load_target("cortex-a76")).gpu is None
