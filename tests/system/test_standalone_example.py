"""The C example of docs/standalone.md, compiled as the page says, and what a frame costs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import REPOSITORY
from fixtures_artefacts import ArtefactFactory
from needed_in_ci import give_up

from compile.artefact.reader import Artefact
from compile.codegen.standalone.zig import DIALECT
from device.runtime.run_artefact import Session

SOURCES = REPOSITORY / "tests/support/native"


@pytest.fixture(scope="module")
def built(artefact: ArtefactFactory) -> Artefact:
    return artefact(standalone=True)


def compile_program(built: Artefact, source: Path, program: Path, *libraries: str) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        give_up("the C example", "no C compiler is installed (apt-get install gcc)")
    folder = built.library.parent
    command = [compiler, *DIALECT, "-O1", "-I", str(folder), str(source), "-o", str(program)]
    result = subprocess.run(
        [*command, *libraries], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return program


def run(program: Path, *arguments: str) -> str:
    result = subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, (result.returncode, result.stderr)
    return result.stdout


@pytest.mark.parametrize("form", ["static", "shared"])
def test_example(built: Artefact, form: str, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/standalone.md").read_text()
    (example,) = re.findall(r"^```c\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    source = tmp_path / "example.c"
    source.write_text(example)
    folder = built.library.parent
    libraries = ["libmqnet.a", "-lm", "-pthread"]
    if form == "shared":
        libraries = ["libmqnet.so", f"-Wl,-rpath,{folder}"]
    told = run(compile_program(built, source, tmp_path / "example", *libraries)).splitlines()
    height, width = built.size
    image = (np.arange(height * width * 3) // 3).astype(np.uint8).reshape(1, height, width, 3)
    (expected,), _ = Session(built, 1).run_frame((image,))
    assert told == ["no error ", f"first value of h: {expected.flat[0]:.6f}"]


def test_a_frame_makes_no_system_call_and_takes_little_memory(
    built: Artefact, tmp_path: Path
) -> None:
    """Under strict seccomp the kernel ends a process at its first call but of write and exit."""
    libraries = "libmqnet.a", "-lm", "-pthread"
    program = compile_program(built, SOURCES / "use_library.c", tmp_path / "use", *libraries)
    grown = int(run(program))
    whole = built.manifest.whole
    inputs_and_outputs = sum(
        int(np.prod(tensor.shape)) * np.dtype(tensor.dtype).itemsize
        for tensor in built.manifest.inputs + built.manifest.outputs
    )
    assert 0 < grown <= whole.activation_bytes + inputs_and_outputs + whole.weight_bytes + (2 << 20)


def test_runtime_is_small(built: Artefact, tmp_path: Path) -> None:
    """Code of the library's own object: all that is neither a kernel's nor data of the network."""
    from elftools.elf.elffile import ELFFile

    folder = built.library.parent
    archiver = shutil.which("ar")
    if archiver is None:
        give_up("the archive", "no binutils are installed (apt-get install binutils)")
    subprocess.run([archiver, "x", str(folder / "libmqnet.a"), "mqnet.o"], cwd=tmp_path, check=True)
    with (tmp_path / "mqnet.o").open("rb") as stream:
        sections = ELFFile(stream).iter_sections()
        code = sum(one.data_size for one in sections if one.name.startswith(".text"))
    assert 1000 < code <= 32 << 10
