"""What is made of the counts of a frame; and, slowly, that they are the same every time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import needs_lld, x86_only
from fixtures_artefacts import SIZE, ArtefactFactory
from tflite_cases import IMAGE, convolution, write_operator
from tflite_files import TfliteFile

from bench.counts.count_target import _by_kernel, check_is_arm64, count_target
from compile.artefact.manifest import CallSummary, KernelSummary
from compile.support.errors import TargetError
from compile.support.frame import frame_of
from device.emulated.arm64.board_core import board_core
from device.emulated.arm64.count_instructions import Counts, FrameCounts, count_on_board
from targets.load_target import load_target

A76 = board_core("cortex-a76")
#: int8 products of one sdot of a 128-bit vector.
_MACS_PER_SDOT = 16


def test_a_kernel_that_is_called_twice_counts_twice():
    add, conv = Counts(10, 4, 3, 0, 5.5), Counts(100, 60, 20, 16, 40.25)
    counts = FrameCounts(Counts(260, 140, 60, 32), (("conv", conv), ("add", add), ("conv", conv)))
    manifest = SimpleNamespace(
        kernels=(
            KernelSummary("conv", "packed_conv", "record", 256),
            KernelSummary("add", "elementwise", "built-in", 0),
        ),
        calls=(
            CallSummary("conv", ("net.a.conv",)),
            CallSummary("add", ("net.a",)),
            CallSummary("conv", ("net.b.conv",)),
        ),
    )
    first, second = _by_kernel(counts, manifest)
    assert (first.name, first.family, first.schedule) == ("conv", "packed_conv", "record")
    assert (first.calls, first.macs) == (2, 512)
    assert first.layers == ("net.a.conv", "net.b.conv") and second.layers == ("net.a",)
    assert first.counts == Counts(200, 120, 40, 32, 80.5)
    assert (second.name, second.calls, second.macs, second.counts) == ("add", 1, 0, add)


@x86_only
def test_this_machine_is_not_counted():
    with pytest.raises(TargetError, match="host is EM_X86_64 .* such as cortex-a76"):
        check_is_arm64(load_target("host"))


@pytest.mark.parametrize("name", ["cortex-a76", "android-arm64"])
def test_arm64_is_counted(name: str):
    check_is_arm64(load_target(name))


@pytest.mark.slow
@needs_lld
def test_two_frames_of_ours_count_the_same(arm64_root: Path, artefact: ArtefactFactory):
    built = artefact("cortex-a76")
    frame = frame_of(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8))
    litert = Counts(1, 1, 1, 1)
    one, other = (count_target(arm64_root, A76, built, frame, litert, None) for _ in range(2))
    assert one == other
    _check_kernels(one.ours, one.kernels)
    assert sum(kernel.calls for kernel in one.kernels) == built.manifest.whole.ops
    assert sum(kernel.macs for kernel in one.kernels) == built.manifest.whole.macs


def _three_convolutions(file: TfliteFile, data: int, rng: np.random.Generator) -> int:
    for _ in range(3):
        data = convolution(file, data, rng, width=64)
    return data


def _check_kernels(frame: Counts, kernels: tuple) -> None:
    """They are nearly all of the frame, and do their products by sdot: padding, to four rows of a
    window and to whole vectors of channels, does not reach the double."""
    in_kernels = sum(kernel.counts.instructions for kernel in kernels)
    assert 0.8 * frame.instructions < in_kernels < frame.instructions
    by_sdot = [kernel for kernel in kernels if kernel.family.startswith("packed_")]
    assert len(by_sdot) > 20
    for kernel in by_sdot:
        least = kernel.macs / _MACS_PER_SDOT
        assert least <= kernel.counts.dot_products < 2 * least, kernel
    for kernel in kernels:
        counts = kernel.counts
        assert counts.dot_products <= counts.simd < counts.instructions, kernel
        assert 0 < counts.loads_stores < counts.instructions - counts.simd, kernel


@pytest.mark.slow
def test_litert_counts_the_same_and_by_the_core_it_is_shown(arm64_root: Path, tmp_path: Path):
    """On one model of QEMU's: only the part number in /proc/cpuinfo differs."""
    network = write_operator(_three_convolutions, tmp_path / "three.tflite")
    frame = (IMAGE,)
    a55 = board_core("cortex-a55")
    assert a55.model == A76.model
    one, other, on_a55 = (
        count_on_board(arm64_root, network, frame, core, "litert") for core in (A76, A76, a55)
    )
    assert one == other and one.kernels == ()
    assert one.frame.dot_products > 1_000_000
    assert on_a55.frame.instructions > 1.05 * one.frame.instructions
