"""Linking for every kind of target, with every linker, and what Android demands of a library."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import small_net
import tvm
from android_library import ANDROID_NEEDED, check_android_library, dynamic_tags
from command_line import needs_lld
from elftools.elf.elffile import ELFFile
from tvm.script import ir as I
from tvm.script import tirx as T

from compile.codegen.link.elf import read_machine, read_symbols
from compile.codegen.link.link import ExportLinker, LinkOptions, choose_linker, link_library
from compile.codegen.link.linkers import ANDROID_CLANG, find_lld, find_ndk
from compile.support.errors import ArtefactError, OutputError, TargetError
from targets.describe_target import tvm_target
from targets.load_target import load_target

LLD = find_lld()


@I.ir_module
class CallsStranger:
    @T.prim_func(s_tir=True)
    def main(a: T.Buffer((4,), "float32"), b: T.Buffer((4,), "float32")):
        for i in range(4):
            with T.sblock("call"):
                j = T.axis.spatial(4, i)
                b[j] = T.call_extern("float32", "nobody_knows_me", a[j])


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The small network's objects by target."""
    folder = tmp_path_factory.mktemp("objects")
    module = small_net.small_module()
    return {name: export_objects(module, name, folder) for name in ("linux-arm64", "android-arm64")}


def export_objects(module: tvm.IRModule, name: str, folder: Path) -> list[Path]:
    kept: list[Path] = []

    def keep(output: str, files: list[str], options: object = None) -> None:
        for file in files:
            kept.append(folder / f"{name}-{Path(file).name}")
            shutil.copy(file, kept[-1])

    keep.object_format = "o"
    executable = tvm.compile(module, target=tvm_target(load_target(name)))
    executable.export_library(str(folder / f"{name}.so"), fcompile=keep)
    return kept


def make_lld(program: Path) -> None:
    """This machine's lld by another path; ziglang's is called by several words."""
    assert LLD is not None
    program.write_text(f'#!/bin/sh\nexec {shlex.join(LLD.command)} "$@"\n')
    program.chmod(0o755)


@needs_lld
def test_android_without_ndk(objects: dict[str, list[Path]], tmp_path: Path):
    output = tmp_path / "net.so"
    report = link_library(load_target("android-arm64"), objects["android-arm64"], output)
    check_android_library(output)
    assert report.kind == "android-arm64"
    assert report.linker == LLD.name()
    assert "LLD" in report.version
    assert list(report.needed) == ANDROID_NEEDED
    assert [path.name for path in tmp_path.iterdir()] == ["net.so"]


FAKE_CLANG = """#!{python}
import pathlib, subprocess, sys
from compile.codegen.link.elf import empty_object

LLD = {lld!r} + ["-m", "aarch64linux"]
SYSROOT = pathlib.Path({sysroot!r})
EXPORTS = ["memcpy", "memset", "erff", "expf", "powf", "tanhf"]

def stub(name):
    (SYSROOT / "empty.o").write_bytes(empty_object("EM_AARCH64"))
    path = SYSROOT / f"lib{{name}}.so"
    exports = [f"--defsym={{symbol}}=0" for symbol in EXPORTS]
    command = [*LLD, "-shared", "-o", path, "-soname", path.name, SYSROOT / "empty.o", *exports]
    subprocess.run(command, check=True)
    return str(path)

if "--version" in sys.argv:
    sys.exit(print("Android clang version 99"))
arguments = []
for argument in sys.argv[1:]:
    if argument.startswith("-Wl,"):
        arguments += argument[4:].split(",")
    elif argument in ("-lc", "-lm", "-ldl"):
        arguments.append(stub(argument[2:]))
    elif argument != "-nostdlib":
        arguments.append(argument)
sys.exit(subprocess.run(LLD + arguments).returncode)
"""


@pytest.fixture
def fake_ndk(tmp_path: Path) -> Path:
    """An NDK's folders with a clang that hands its linker flags to lld, as the real one does."""
    home = tmp_path / "ndk"
    program = home / "toolchains/llvm/prebuilt/linux-x86_64/bin" / ANDROID_CLANG
    program.parent.mkdir(parents=True)
    sysroot = home / "sysroot"
    sysroot.mkdir()
    assert LLD is not None
    program.write_text(
        FAKE_CLANG.format(python=sys.executable, lld=list(LLD.command), sysroot=str(sysroot))
    )
    program.chmod(0o755)
    return home


@needs_lld
def test_android_with_the_ndk(
    objects: dict[str, list[Path]], tmp_path: Path, fake_ndk: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))
    compiler = find_ndk({"ANDROID_NDK_HOME": str(fake_ndk)})
    assert compiler is not None and compiler.name == ANDROID_CLANG
    assert find_ndk({"TVM_NDK_CC": str(compiler), "ANDROID_NDK_HOME": "nowhere"}) == compiler
    report = link_library(
        load_target("android-arm64"),
        objects["android-arm64"],
        tmp_path / "net.so",
        LinkOptions(ndk_compiler=compiler),
    )
    check_android_library(tmp_path / "net.so")
    assert (report.linker, report.version) == (str(compiler), "Android clang version 99")


def test_ndk_that_is_not_there(tmp_path: Path):
    assert find_ndk({}) is None
    assert find_ndk({"TVM_NDK_CC": "", "ANDROID_NDK_HOME": ""}) is None
    with pytest.raises(TargetError, match="unset it to link by lld"):
        find_ndk({"ANDROID_NDK_HOME": str(tmp_path)})
    with pytest.raises(TargetError, match="TVM_NDK_CC names no-such-clang"):
        find_ndk({"TVM_NDK_CC": "no-such-clang"})


@needs_lld
def test_linux_arm64_by_lld_alone(objects: dict[str, list[Path]], tmp_path: Path):
    folder = tmp_path / "bin"
    folder.mkdir()
    make_lld(folder / "ld.lld-14")
    output = tmp_path / "net.so"
    options = LinkOptions(search_path=str(folder))
    report = link_library(load_target("linux-arm64"), objects["linux-arm64"], output, options)
    assert report.linker == str(folder / "ld.lld-14")
    assert report.needed == ("libc.so.6", "libm.so.6")
    assert read_machine(output) == "EM_AARCH64"
    with output.open("rb") as stream:
        elf = ELFFile(stream)
        kinds = {segment["p_type"] for segment in elf.iter_segments()}
        assert "PT_GNU_RELRO" in kinds and "PT_TLS" not in kinds
        assert any(tag.entry.d_tag == "DT_FLAGS" for tag in dynamic_tags(elf))


@pytest.mark.skipif(
    shutil.which("aarch64-linux-gnu-gcc") is None, reason="no aarch64-linux-gnu-gcc here"
)
def test_linux_arm64_by_gcc(
    objects: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # An lld goes first, and ziglang has one.
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "aarch64-linux-gnu-gcc").symlink_to(shutil.which("aarch64-linux-gnu-gcc"))
    options = LinkOptions(search_path=str(folder))
    output = tmp_path / "net.so"
    report = link_library(load_target("linux-arm64"), objects["linux-arm64"], output, options)
    assert report.linker.endswith("aarch64-linux-gnu-gcc")
    assert "libm.so.6" in report.needed


@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="no ziglang here")
def test_android_by_the_lld_of_ziglang(objects: dict[str, list[Path]], tmp_path: Path):
    options = LinkOptions(search_path=str(tmp_path))
    report = link_library(
        load_target("android-arm64"), objects["android-arm64"], tmp_path / "net.so", options
    )
    assert "ziglang" in report.linker
    check_android_library(tmp_path / "net.so")


def test_which_lld_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = str(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert find_lld(path).command == (sys.executable, "-m", "ziglang", "ld.lld")
    (tmp_path / "ld.lld-99").write_text("not executable")
    for name in ("ld.lld-9", "ld.lld-14", "ld.lld-14.bak"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    assert find_lld(path).command == (str(tmp_path / "ld.lld-14"),)
    (tmp_path / "ld.lld").write_text("")
    (tmp_path / "ld.lld").chmod(0o755)
    assert find_lld(path).command == (str(tmp_path / "ld.lld"),)


@pytest.mark.parametrize("name", ["host", "linux-arm64", "android-arm64"])
def test_no_linker_says_what_to_install(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TargetError) as caught:
        choose_linker(load_target(name), LinkOptions(search_path=str(tmp_path)))
    text = str(caught.value)
    assert f"no linker for target '{name}'" in text and "\n" not in text
    assert "apt-get install lld" in text and "pip install ziglang" in text


@pytest.mark.parametrize("linker", ["any", "lld"])
def test_host_library_runs_here(linker: str, tmp_path: Path):
    spec = load_target("host")
    options = LinkOptions()
    if linker == "lld":
        if LLD is None:
            pytest.skip("no lld on this machine")
        make_lld(tmp_path / "ld.lld")
        options = LinkOptions(search_path=str(tmp_path))
    library = tmp_path / "net.so"
    used = small_net.export(small_net.small_module(), spec, library, options)
    assert used.report is not None and used.report.kind == "host"
    x = small_net.make_input()
    (power,) = small_net.run_here(library, "head", x, x)
    np.testing.assert_allclose(power, np.abs(x) ** np.float32(1.7) - x, rtol=1e-5, atol=1e-6)


@needs_lld
def test_unknown_symbol_is_named_and_nothing_is_written(tmp_path: Path):
    (tmp_path / "objects").mkdir()
    files = export_objects(CallsStranger, "linux-arm64", tmp_path / "objects")
    output = tmp_path / "net.so"
    output.write_text("the library of yesterday")
    for name in ("linux-arm64", "android-arm64"):
        with pytest.raises(TargetError, match="'nobody_knows_me'"):
            link_library(load_target(name), files, output)
    assert output.read_text() == "the library of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.so", "objects"]


def test_object_of_another_machine(objects: dict[str, list[Path]], tmp_path: Path):
    spec = load_target("host")
    if spec.machine == "EM_AARCH64":
        pytest.skip("this machine is arm64 itself")
    with pytest.raises(TargetError, match="is EM_AARCH64, but target 'host' is EM_X86_64"):
        link_library(spec, objects["linux-arm64"], tmp_path / "net.so")


@pytest.mark.parametrize("kept", [0, 20, 64, 1000])
def test_damaged_object(objects: dict[str, list[Path]], tmp_path: Path, kept: int):
    damaged = tmp_path / "damaged.o"
    damaged.write_bytes(objects["linux-arm64"][0].read_bytes()[:kept])
    with pytest.raises(ArtefactError, match="damaged or no ELF file"):
        link_library(load_target("linux-arm64"), [damaged], tmp_path / "net.so")
    with pytest.raises(ArtefactError, match="cannot be read: No such file"):
        read_symbols(tmp_path / "missing.o")
    assert not (tmp_path / "net.so").exists()


def test_output_that_cannot_be_written(objects: dict[str, list[Path]], tmp_path: Path):
    spec = load_target("linux-arm64")
    with pytest.raises(OutputError, match="there is no folder"):
        link_library(spec, objects["linux-arm64"], tmp_path / "missing" / "net.so")
    bin_folder, out_folder = tmp_path / "bin", tmp_path / "out"
    bin_folder.mkdir()
    out_folder.mkdir()
    full_disk = bin_folder / "ld.lld"
    full_disk.write_text(
        "#!/bin/sh\n"
        "while [ $# -gt 0 ]; do [ $1 = -o ] && echo half > $2; shift; done\n"
        "echo 'ld.lld: error: failed to write output: No space left on device' >&2\nexit 1\n"
    )
    full_disk.chmod(0o755)
    options = LinkOptions(search_path=f"{bin_folder}{os.pathsep}/bin")
    with pytest.raises(OutputError, match="No space left on device"):
        link_library(spec, objects["linux-arm64"], out_folder / "net.so", options)
    assert not list(out_folder.iterdir())


def test_sources_are_refused(tmp_path: Path):
    with pytest.raises(TargetError, match="cannot link lib0.c"):
        ExportLinker(load_target("host"))(str(tmp_path / "net.so"), ["lib0.c"], options=["-I."])
