"""The standalone form for a GPU of Android: its program on the emulated board, whose glibc plays
Android's C library. There is no OpenCL there: no kernel runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import REPOSITORY, needs_lld
from elftools.elf.elffile import ELFFile
from fixtures_artefacts import ArtefactFactory

from compile.artefact.reader import Artefact
from compile.codegen.link.elf import read_needed
from compile.codegen.standalone.zig import glibc, run_zig
from device.emulated.arm64.command import QEMU

pytestmark = [needs_lld, pytest.mark.slow]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def built(artefact: ArtefactFactory) -> Artefact:
    return artefact("android-mali", standalone=True)


@pytest.fixture(scope="module")
def run(built: Artefact, arm64_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the program with some arguments and variables."""
    root, libraries = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("lib")
    for path in arm64_root.absolute().iterdir():
        (root / path.name).symlink_to(path)
    loader = root / "system/bin/linker64"
    loader.parent.mkdir(parents=True)
    loader.symlink_to((arm64_root / "lib/ld-linux-aarch64.so.1").resolve())
    source = REPOSITORY / "tests/support/native/play_bionic.c"
    flags = ["-shared", "-fPIC", "-Wl,-soname,libc.so", "-o", "libc.so"]
    run_zig(["cc", "-target", glibc("aarch64"), *flags, str(source)], libraries)
    for name, real in (("libm.so", "libm.so.6"), ("libdl.so", "libdl.so.2")):
        (libraries / name).symlink_to(next(arm64_root.absolute().rglob(real)))

    def start(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [QEMU, "-cpu", "cortex-a76", "-L", str(root)]
        for name, value in ({"LD_LIBRARY_PATH": str(libraries)} | variables).items():
            command += ["-E", f"{name}={value}"]
        program = built.library.with_name("mqnet-run")
        return subprocess.run(
            [*command, str(program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={},
            timeout=300,
        )

    return start


def test_program_is_one_of_androids(built: Artefact) -> None:
    program, library = (built.library.with_name(name) for name in ("mqnet-run", "libmqnet.so"))
    for path in (program, library):
        assert set(read_needed(path)) == {"libc.so", "libm.so", "libdl.so"}
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            loads = [part for part in elf.iter_segments() if part["p_type"] == "PT_LOAD"]
            assert elf["e_type"] == "ET_DYN" and elf["e_machine"] == "EM_AARCH64"
            assert all(part["p_align"] >= 16384 for part in loads)
            if path == program:
                (loader,) = (one for one in elf.iter_segments() if one["p_type"] == "PT_INTERP")
                assert loader.get_interp_name() == "/system/bin/linker64"


def test_program_starts_and_says_what_it_is(built: Artefact, run: Run) -> None:
    told = json.loads(run("info", "--json").stdout)
    assert told["target"] == "android-mali" and told["calls"] == built.manifest.whole.ops
    assert "bench" in run("help").stdout
    odd = run("bench", "--seconds", "x")
    assert odd.returncode == 2 and odd.stderr.startswith("--seconds x is not a number")


def test_without_opencl_it_says_so(run: Run) -> None:
    for command in ("check", "bench"):
        result = run(command)
        assert (result.returncode, result.stdout) == (2, "")
        assert "this machine has no OpenCL library" in result.stderr
        named = run(command, MQNET_OPENCL_LIBRARY="libm.so")
        assert named.returncode == 2
        assert "MQNET_OPENCL_LIBRARY names no OpenCL library: libm.so" in named.stderr
