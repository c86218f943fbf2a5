"""`bench/gpu_instructions.py` and `device/make_mali_compiler.py` by command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Command, check_sentence, in_fork


def test_a_target_that_names_no_gpu(here: Command) -> None:
    outcome = here("bench/gpu_instructions", "--target", "android-mali")
    check_sentence(outcome, "android-mali", "mesa_gpu", "linux-mali")


def test_no_compiler(here: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu = tmp_path / "qemu-aarch64"
    qemu.write_text("#!/bin/sh\n")
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    outcome = here("bench/gpu_instructions")
    check_sentence(outcome, str(tmp_path / "mqnet-tvm/mali-compiler"), "make_mali_compiler.py")
    qemu.unlink()
    check_sentence(here("bench/gpu_instructions"), "qemu-aarch64", "apt-get install qemu-user")


def test_packages_that_cannot_be_had(here: Command, tmp_path: Path) -> None:
    sources = tmp_path / "sources.list"
    sources.write_text("deb [trusted=yes] file:///no/such/archive stable main\n")
    root = tmp_path / "compiler"
    outcome = here("device/make_mali_compiler", root, "--sources", sources)
    assert outcome.code == 2 and "Traceback" not in outcome.err
    assert "cannot be fetched" in outcome.err.splitlines()[-1] and not root.exists()


def test_it_is_fetched_once(mali_compiler: Path, here: Command) -> None:
    outcome = here("device/make_mali_compiler", mali_compiler)
    assert outcome.code == 0 and f"is current: {mali_compiler}" in outcome.err


@pytest.mark.slow
def test_counts_of_families(mali_compiler: Path) -> None:
    families = "--family", "word_concat_pointwise", "--family", "pointwise"
    outcome = in_fork(
        "bench/gpu_instructions", "--size", "32x32", *families, "--image-weights", "--json"
    )
    assert outcome.code == 0, outcome.err
    run = json.loads(outcome.out)
    assert run["target"] == "linux-mali" and "not times" in run["note"]
    assert run["image_weights"] is True
    assert sum(k["of_a_frame"]["accesses"] for k in run["kernels"]) == run["of_a_frame"]["accesses"]
    words, floats = (
        [kernel for kernel in run["kernels"] if kernel["family"] == family]
        for family in families[1::2]
    )
    assert len(words) >= 4 and len(words) + len(floats) == len(run["kernels"])
    for kernel in words:
        # The texture unit loads weights: a pixel for each four words, which four columns multiply.
        counts = kernel["of_a_work_item"]
        assert 4 * counts["fetches"] <= counts["dot_products"] <= 32 * counts["fetches"]
    # The head's two.
    assert len(floats) == 2
    for kernel in floats:
        assert kernel["of_a_frame"]["dot_products"] == 0
        assert kernel["macs"] > 0 and kernel["layers"][0].startswith("net.head.")
        assert 0 < kernel["registers"] <= 64


@pytest.mark.slow
def test_a_family_that_there_is_not(mali_compiler: Path) -> None:
    outcome = in_fork("bench/gpu_instructions", "--size", "32x32", "--family", "word_depthwize")
    assert outcome.code == 2 and "Traceback" not in outcome.err
    sentence = outcome.err.splitlines()[-1]
    assert "word_depthwize" in sentence and "word_depthwise" in sentence
