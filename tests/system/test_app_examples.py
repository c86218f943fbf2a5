"""The examples of docs/apps.md, made and run as the page says, with a build where it names one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import REPOSITORY, needs_lld, x86_only
from fixtures_artefacts import ArtefactFactory
from needed_in_ci import give_up

from compile.artefact.reader import Artefact
from compile.codegen.link.elf import read_machine, read_needed, read_symbols
from device.runtime.run_artefact import Session

PAGE = REPOSITORY / "docs/apps.md"


def run_block(built: Artefact, title: str, folder: Path) -> None:
    """Run the shell's block of the page's section ``title`` in ``folder``."""
    section = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    (script,) = re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    (name,) = re.findall(r"^BUILD=(.*)$", script, re.MULTILINE)
    (folder / name).parent.mkdir()
    (folder / name).symlink_to(built.library.parent)
    (folder / "docs").symlink_to(REPOSITORY / "docs")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", script]
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def check_frame(built: Artefact, folder: Path, title: str) -> None:
    """The example's output is that of the TVM form."""
    height, width = built.size
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    (folder / "photo.rgb").write_bytes(image.tobytes())
    run_block(built, title, folder)
    (expected,), _ = Session(built, 1).run_frame((image,))
    got = np.fromfile(folder / "light.f32", "float32").reshape(expected.shape)
    np.testing.assert_array_equal(got, expected)


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            give_up("the examples", f"{program} is not installed (see .ci/run)")


@x86_only
def test_cpp(artefact: ArtefactFactory, tmp_path: Path) -> None:
    need("c++")
    built = artefact(standalone=True)
    check_frame(built, tmp_path, "C++")
    result = subprocess.run([tmp_path / "frame", "none", "x"], capture_output=True, check=False)
    assert result.returncode == 2 and result.stderr.startswith(b"give a file of RGB bytes")


@x86_only
@pytest.mark.slow
def test_kotlin_on_a_desktop(artefact: ArtefactFactory, tmp_path: Path) -> None:
    need("cc", "javac", "kotlinc")
    check_frame(artefact(standalone=True), tmp_path, "Kotlin")


@needs_lld
@pytest.mark.slow
def test_jni_library_for_android(artefact: ArtefactFactory, tmp_path: Path) -> None:
    """It needs the network's library and nothing else: no C library of another system."""
    need("javac")
    run_block(
        artefact("android-arm64", standalone=True), "An Android app, without the NDK", tmp_path
    )
    library = tmp_path / "libmqnet_jni.so"
    assert read_machine(library) == "EM_AARCH64" and read_needed(library) == ("libmqnet.so",)
    symbols = read_symbols(library)
    assert symbols.undefined == {"mqnet_open", "mqnet_run", "mqnet_close", "mqnet_status_text"}
    kotlin = (REPOSITORY / "docs/examples/Mqnet.kt").read_text()
    methods = re.findall(r"private external fun (\w+)", kotlin)
    assert {f"Java_Mqnet_{name}" for name in methods} <= symbols.defined


@pytest.mark.parametrize("name", ["frame.cpp", "Mqnet.kt", "mqnet_jni.c"])
def test_examples_are_short(name: str) -> None:
    lines = (REPOSITORY / "docs/examples" / name).read_text().splitlines()
    assert len(lines) <= 50
