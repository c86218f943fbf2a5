"""The C runtime of the standalone form by itself, under the sanitizers, natively and on arm64."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from command_line import REPOSITORY
from needed_in_ci import give_up

from compile.codegen.standalone.build_standalone import RUNTIME
from compile.codegen.standalone.zig import DIALECT, musl, run_zig
from device.emulated.arm64.command import QEMU

SOURCES = REPOSITORY / "tests/support/native"
CORES = len(os.sched_getaffinity(0))
#: Each in four threads with a handle of its own: 10,000 together.
FRAMES = 2500


def compiler() -> str:
    found = shutil.which("gcc") or shutil.which("cc")
    if found is None:
        give_up("the C runtime", "no C compiler is installed (apt-get install gcc)")
    return found


def run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "all is as it should be\n"
    assert result.stderr == ""


@pytest.mark.parametrize("sanitizer", ["none", "address,undefined", "thread"])
@pytest.mark.parametrize("threads", [1, min(2, CORES)])
def test_runtime_used_rightly_and_wrongly(sanitizer: str, threads: int, tmp_path: Path) -> None:
    program = tmp_path / "check"
    flags = [] if sanitizer == "none" else [f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    command = [compiler(), *DIALECT, "-O1", "-g", *flags, "-I", str(RUNTIME)]
    command += [str(SOURCES / "check_runtime.c"), "-o", str(program), "-lm", "-pthread"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    run([str(program), str(FRAMES), str(threads)])


@pytest.mark.slow
def test_runtime_on_arm64(tmp_path: Path) -> None:
    """With musl and lld, as a phone's program is built."""
    if shutil.which(QEMU) is None:
        give_up("the arm64 code", f"{QEMU} is not installed (apt-get install qemu-user)")
    source = str(SOURCES / "check_runtime.c")
    options = ["-target", musl("aarch64"), *DIALECT, "-O2", "-static", "-I", str(RUNTIME)]
    run_zig(["cc", *options, source, "-o", "check", "-lm"], tmp_path)
    run([QEMU, str(tmp_path / "check"), "100", str(min(2, CORES))])


def test_headers_include_what_they_use() -> None:
    """Each of them compiles without another one before it."""
    for header in sorted(RUNTIME.rglob("*.h")):
        text = "typedef struct { void *data; unsigned long bytes; } frame_buffer;\n"
        text += f'#include "{header}"\n'
        command = [compiler(), *DIALECT, "-Wno-unused-function", "-Wno-unused-variable"]
        command += ["-I", str(RUNTIME), "-fsyntax-only", "-x", "c", "-"]
        result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr


def test_lines_are_short_and_plain() -> None:
    for path in [*RUNTIME.rglob("*.h"), *SOURCES.iterdir()]:
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            assert len(line) <= 100 and line == line.rstrip() and "\t" not in line, (path, number)
