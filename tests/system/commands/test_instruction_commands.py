"""`bench/instructions.py` by its command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Command, check_sentence, in_fork, needs_lld, x86_only
from fixtures_artefacts import ArtefactFactory


@x86_only
def test_target_that_the_board_cannot_run(here: Command):
    check_sentence(here("bench/instructions", "--target", "host"), "host", "arm64", "cortex-a76")


def test_target_that_there_is_not(here: Command):
    check_sentence(here("bench/instructions", "--target", "cortex-a77"), "cortex-a77", "cortex-a76")


@pytest.mark.parametrize("size", ["250x250", "64x96", "0256x256"])
def test_size_without_a_litert_network(here: Command, size: str):
    """250x250 would be built as 256x256, which is not what was asked for."""
    check_sentence(here("bench/instructions", "--size", size), f"size {size} ", "256x256")


def test_malformed_size(here: Command):
    check_sentence(here("bench/instructions", "--size", "256"), "'256'", "HEIGHTxWIDTH")


def test_no_qemu(here: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    check_sentence(here("bench/instructions"), "qemu-aarch64", "apt-get install qemu-user")


def test_no_board(here: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    qemu = tmp_path / "qemu-aarch64"
    qemu.write_text("#!/bin/sh\n")
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    check_sentence(here("bench/instructions"), str(tmp_path / "mqnet-tvm"), "make_board.py")


@pytest.mark.slow
@needs_lld
def test_counts_of_a_frame(arm64_root: Path):
    outcome = in_fork("bench/instructions", "--target", "cortex-a76", "--json")
    assert outcome.code == 0, outcome.err
    run = json.loads(outcome.out)
    assert run["size"] == "256x256" and "EMULATED" in run["note"]
    (target,) = run["targets"]
    assert (target["target"], target["core"]["part"]) == ("cortex-a76", "0xd0b")
    ours, litert = (target[engine]["instructions"] for engine in ("ours", "litert"))
    assert target["ratio_to_litert_mixed"] == pytest.approx(litert / ours)
    # The standalone form has the same kernels, and less between them.
    assert 0.9 * ours < target["standalone"]["instructions"] < ours
    cycles = [target[engine]["cycles"] for engine in ("ours", "standalone", "litert")]
    assert 0.98 * cycles[0] < cycles[1] < cycles[0]
    # Two vector pipes, four instructions a cycle.
    for count, of_model in zip((ours, litert), (cycles[0], cycles[2]), strict=True):
        assert count / 4 < of_model < 2 * count
    assert target["cycle_ratio_to_litert_mixed"] == pytest.approx(cycles[2] / cycles[0])
    of_kernels = sum(kernel["counts"]["cycles"] for kernel in target["kernels"])
    assert 0.9 * cycles[0] < of_kernels < 1.05 * cycles[0]
    in_kernels = sum(kernel["counts"]["instructions"] for kernel in target["kernels"])
    assert 0.9 * ours < in_kernels < ours
    families = ("packed_", "inverted_residual")
    macs = sum(k["macs"] for k in target["kernels"] if k["family"].startswith(families))
    assert macs / 16 <= target["ours"]["dot_products"] < macs / 8


@x86_only
def test_a_build_that_the_board_cannot_run(here: Command, artefact: ArtefactFactory):
    folder = artefact("host").library.parent
    check_sentence(here("bench/instructions", "--artefact", folder), "host", "arm64", "cortex-a76")
    both = here("bench/instructions", "--artefact", folder, "--target", "cortex-a76")
    check_sentence(both, "--artefact names builds", "leave --target out")


@pytest.mark.slow
@needs_lld
def test_a_build_is_counted_as_it_is(arm64_root: Path, artefact: ArtefactFactory):
    """LiteRT has no file of its size."""
    built = artefact("cortex-a76")
    outcome = in_fork("bench/instructions", "--artefact", built.library.parent, "--json")
    assert outcome.code == 0, outcome.err
    (target,) = json.loads(outcome.out)["targets"]
    assert target["standalone"] is None and target["ours"]["cycles"] > 0
    assert target["litert"] is None and target["ratio_to_litert_mixed"] is None
    assert sum(kernel["calls"] for kernel in target["kernels"]) == built.manifest.whole.ops
