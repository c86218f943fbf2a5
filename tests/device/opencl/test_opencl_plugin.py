"""The plugin as a file: its build, what TVM does with it, and what there is without it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tvm
from command_line import REPOSITORY, as_user, check_sentence
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from needed_in_ci import give_up

from device.emulated.arm64.command import board_command
from device.opencl.plugin import SOURCES, plugin_path

# As a user's process: with nothing loaded but what TVM loads by itself.
_IMPORT_TVM = (
    "import tvm; print(tvm.opencl(0).exist, tvm.get_global_func('device_api.opencl', True))"
)


def _import_tvm(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", _IMPORT_TVM],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "autoload" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("runtime_only", ["0", "1"])
def test_tvm_finds_it(opencl: tvm.runtime.Device, runtime_only: str):
    assert _import_tvm(TVM_USE_RUNTIME_LIB=runtime_only).startswith("True ")


def test_tvm_without_it(tmp_path: Path):
    """An import is as quiet as ever, and TVM has no such device."""
    assert _import_tvm(XDG_CACHE_HOME=str(tmp_path)) == "False None\n"


def test_a_second_copy_stays_out(opencl_plugin: Path, tmp_path: Path):
    copy = shutil.copy(opencl_plugin, tmp_path)
    script = (
        "import ctypes, tvm\n"
        f"ctypes.CDLL({str(opencl_plugin)!r}); ctypes.CDLL({str(copy)!r})\n"
        "tvm.runtime.empty((1,), 'int8', tvm.cpu())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "TVM has an OpenCL device already: this plugin stays out" in done.stderr


@pytest.fixture(scope="module")
def board_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin for aarch64."""
    if shutil.which("aarch64-linux-gnu-g++") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI has to build for aarch64: no aarch64-linux-gnu-g++")
        pytest.skip("no aarch64-linux-gnu-g++ (apt-get install g++-aarch64-linux-gnu)")
    output = tmp_path_factory.mktemp("board") / "new" / "plugin.so"
    outcome = as_user("device/build_opencl", "--machine", "aarch64", "--output", output)
    assert (outcome.code, outcome.out) == (0, ""), outcome.err
    assert [path.name for path in output.parent.iterdir()] == ["plugin.so"]
    return output


def test_what_it_needs_of_a_board(board_plugin: Path):
    """Nothing but TVM and the C++ library. OpenCL is opened when it is used, under any name."""
    with board_plugin.open("rb") as file:
        elf = ELFFile(file)
        assert elf["e_machine"] == "EM_AARCH64"
        (dynamic,) = (part for part in elf.iter_sections() if isinstance(part, DynamicSection))
        needed = {tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"}
        symbols = elf.get_section_by_name(".dynsym")
        opencl = [
            symbol.name for symbol in symbols.iter_symbols() if re.match("cl[A-Z]", symbol.name)
        ]
    assert {"libtvm_runtime.so", "libtvm_ffi.so"} < needed
    system = {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6", "ld-linux-aarch64.so.1"}
    assert needed - {"libtvm_runtime.so", "libtvm_ffi.so"} <= system
    assert opencl == []


def test_a_board_without_a_driver(arm64_root: Path, board_plugin: Path, tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(
        "import ctypes, sys, tvm\n"
        "ctypes.CDLL(sys.argv[1])\n"
        "print(tvm.opencl(0).exist)\n"
        "tvm.runtime.empty((1,), 'int8', tvm.opencl(0))\n"
    )
    command = board_command(arm64_root, "cortex-a76", {}, script, board_plugin)
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr
    assert "RuntimeError: no OpenCL device: install the driver" in done.stderr


def test_other_sources_are_another_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = plugin_path("aarch64", os.environ)
    changed = tmp_path / "src"
    shutil.copytree(SOURCES, changed)
    monkeypatch.setattr("device.opencl.plugin.SOURCES", changed)
    assert plugin_path("aarch64", os.environ) == before
    with (changed / "queue.cc").open("a") as file:
        file.write("// changed\n")
    assert plugin_path("aarch64", os.environ) != before


def test_no_compiler(tmp_path: Path):
    outcome = as_user("device/build_opencl", env={"PATH": str(tmp_path)})
    check_sentence(outcome, "g++", "PATH", "apt-get install g++")


def test_a_compiler_that_fails(tmp_path: Path):
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\necho 'queue.h:7:1: error: CL/cl.h: No such file' >&2; exit 1\n")
    compiler.chmod(0o755)
    outcome = as_user(
        "device/build_opencl", "--output", tmp_path / "out.so", env={"PATH": str(tmp_path)}
    )
    check_sentence(outcome, "CL/cl.h", "apt-get install opencl-headers")
    assert not (tmp_path / "out.so").exists()


def test_output_that_cannot_be_written(tmp_path: Path):
    if shutil.which("g++") is None:
        give_up("a build of the plugin", "no g++ on PATH")
    (tmp_path / "file").touch()
    outcome = as_user("device/build_opencl", "--output", tmp_path / "file" / "plugin.so")
    check_sentence(outcome, str(tmp_path / "file"))


def test_function_info_is_as_in_the_wheel():
    """An object of TVM that is read by its layout, for which the wheel has no public header."""
    theirs = Path(tvm.__file__).parent / "src" / "runtime" / "metadata.h"
    assert _fields(theirs.read_text()) == [
        ("String", "name"),
        ("Array<DLDataType>", "arg_types"),
        ("Array<String>", "launch_param_tags"),
        ("Array<ArgExtraTags>", "arg_extra_tags"),
    ]
    ours = _fields((SOURCES / "kernel_info.h").read_text())
    # A container of enums has the layout of one of numbers.
    assert ours == [
        (kind.replace("ArgExtraTags", "int64_t"), name)
        for kind, name in _fields(theirs.read_text())
    ]


def _fields(header: str) -> list[tuple[str, str]]:
    body = re.search(
        r"class FunctionInfoObj : public .*?Object \{(.*?)TVM_FFI_DECLARE", header, re.S
    )
    fields = re.findall(r"^  ([\w:<>]+) (\w+);$", body[1], re.M)
    return [(kind.replace("tvm::", "").replace("ffi::", ""), name) for kind, name in fields]
