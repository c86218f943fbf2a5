"""The standalone form for arm64, executed under QEMU: no board's root and no TVM there."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from command_line import needs_lld
from cut_programs import check_cut_program
from elftools.elf.elffile import ELFFile
from fixtures_artefacts import ArtefactFactory
from needed_in_ci import give_up

from compile.artefact.reader import Artefact
from compile.codegen.link.elf import read_needed
from device.emulated.arm64.command import QEMU

pytestmark = [needs_lld, pytest.mark.slow]


@pytest.fixture(autouse=True, scope="module")
def emulator() -> None:
    if shutil.which(QEMU) is None:
        give_up("the arm64 code", f"{QEMU} is not installed (apt-get install qemu-user)")


def run_program(artefact: Artefact, cpu: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = artefact.library.with_name("mqnet-run")
    return subprocess.run(
        [QEMU, "-cpu", cpu, str(program), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("target", "cpu"),
    [
        ("linux-arm64", "cortex-a53"),
        ("cortex-a76", "cortex-a76"),
        ("cortex-x2", "max,sme=off"),
        ("android-arm64", "max"),
    ],
)
def test_program_computes_what_the_compiler_did(
    artefact: ArtefactFactory, target: str, cpu: str
) -> None:
    built = artefact(target, standalone=True)
    result = run_program(built, cpu, "check", "--threads", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert built.manifest.coverage is not None
    assert f"right: {built.manifest.coverage.integer_ops} of" in result.stdout
    told = json.loads(run_program(built, cpu, "info", "--json").stdout)
    assert told["target"] == target and told["threads"] == built.manifest.threads


def test_core_without_an_instruction(artefact: ArtefactFactory) -> None:
    """A Cortex-A53 has no dot product, and no atomics of v8.1: no SIGILL."""
    result = run_program(artefact("cortex-a76", standalone=True), "cortex-a53", "check")
    assert result.returncode == 2
    assert result.stderr.startswith("this processor lacks ")
    assert len(result.stderr.splitlines()) == 1


def test_program_that_is_cut_short(artefact: ArtefactFactory, tmp_path: Path) -> None:
    program = artefact("android-arm64", standalone=True).library.with_name("mqnet-run")
    check_cut_program(program, tmp_path, [QEMU])


def test_program_is_static(artefact: ArtefactFactory) -> None:
    built = artefact("android-arm64", standalone=True)
    with built.library.with_name("mqnet-run").open("rb") as stream:
        elf = ELFFile(stream)
        kinds = {segment["p_type"] for segment in elf.iter_segments()}
        assert elf["e_machine"] == "EM_AARCH64" and "PT_INTERP" not in kinds
        # Linux 4.17 to 5.3 starts no program of which two segments share a page of memory.
        loads = [part for part in elf.iter_segments() if part["p_type"] == "PT_LOAD"]
        pages = [
            range(part["p_vaddr"] >> 16, (part["p_vaddr"] + part["p_memsz"] - 1 >> 16) + 1)
            for part in loads
        ]
        assert all(one.stop <= other.start for one, other in pairwise(pages))


def test_android_library(artefact: ArtefactFactory) -> None:
    library = artefact("android-arm64", standalone=True).library.with_name("libmqnet.so")
    assert set(read_needed(library)) == {"libc.so", "libm.so", "libdl.so"}
    with library.open("rb") as stream:
        elf = ELFFile(stream)
        names = {section.name for section in elf.iter_sections()}
        loads = [part for part in elf.iter_segments() if part["p_type"] == "PT_LOAD"]
        assert not names & {".tdata", ".tbss", ".gnu.version_r"}
        assert all(part["p_align"] >= 16384 for part in loads)
