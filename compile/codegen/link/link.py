"""Links a target's objects into its shared library, on any machine that has some linker.

Last phase in the way of the data. TVM's objects need no start-up files and no headers, so lld alone
is enough for every target: the libraries they call are stubs (`stubs.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compile.codegen.link.elf import ElfSymbols, empty_object, read_needed, read_symbols
from compile.codegen.link.linkers import Linker, find_compiler, find_lld
from compile.codegen.link.stubs import sort_symbols
from compile.support.atomic import atomic_path
from compile.support.errors import OutputError, TargetError
from compile.support.run_tool import run_captured
from compile.support.scratch_folder import scratch_folder
from targets.spec import TargetSpec

_LLD_EMULATION = {"EM_X86_64": "elf_x86_64", "EM_AARCH64": "aarch64linux"}
# RELRO with everything bound at load time, no executable stack, no debug sections.
_COMMON_FLAGS = ("-z relro", "-z now", "-z noexecstack", "--strip-debug", "--hash-style=both")
# Android 15 may run with pages of 16 KiB. Its loader resolves $ORIGIN, so that the runtime is
# found beside the library.
_ANDROID_FLAGS = ("-z max-page-size=16384", "-rpath $ORIGIN", "--no-undefined", "--no-as-needed")
_LIBRARY, _PROGRAM = "-shared", "-pie"
_ANDROID_LOADER = "-dynamic-linker /system/bin/linker64"
# Made by the linker itself where code asks for them.
_LINKER_SYMBOLS = frozenset({"_GLOBAL_OFFSET_TABLE_", "_DYNAMIC"})
_INSTALL_LLD = "install lld (apt-get install lld) or PyPI's ziglang (pip install ziglang)"


@dataclass(frozen=True)
class LinkOptions:
    """How to link.

    Attributes:
        ndk_compiler: The NDK's clang for android-arm64 (see `linkers.find_ndk`); None for lld.
        search_path: Folders to look for linkers in, as in PATH; None for the process's own.
        without_tvm: The library is the standalone form: it needs none of TVM's, and other
            libraries that are linked against it find it by its own name.
    """

    ndk_compiler: Path | None = None
    search_path: str | None = None
    without_tvm: bool = False


@dataclass(frozen=True)
class LinkReport:
    """What linked a library, for its manifest.

    Attributes:
        kind: The target's linker kind, as `android-arm64`.
        linker: Program and leading arguments.
        version: First line that the program prints for `--version`.
        needed: Libraries that the device must have.
    """

    kind: str
    linker: str
    version: str
    needed: tuple[str, ...]


class ExportLinker:
    """`link_library` in the shape of `export_library(fcompile=...)`; keeps the report.

    Attributes:
        report: Of the last library that was linked.
    """

    output_format = "so"
    object_format = "o"

    def __init__(self, spec: TargetSpec, options: LinkOptions | None = None) -> None:
        self._spec = spec
        self._options = options or LinkOptions()
        self.report: LinkReport | None = None

    def get_target_triple(self) -> str:
        """The machine, for TVM: it writes an object of its own where it is given only objects."""
        return self._spec.processor.triple

    def __call__(
        self, output: str, objects: str | Sequence[str], options: Sequence[str] | None = None
    ) -> None:
        """Links; TVM passes `options` only along with C sources, which no target here has."""
        paths = [Path(name) for name in ([objects] if isinstance(objects, str) else objects)]
        if foreign := [path.name for path in paths if path.suffix != ".o"]:
            raise TargetError(f"cannot link {foreign[0]}: only objects, not sources, are linked")
        self.report = link_library(self._spec, paths, Path(output), self._options)


def link_library(
    spec: TargetSpec, objects: Sequence[Path], output: Path, options: LinkOptions | None = None
) -> LinkReport:
    """Links objects into the shared library `output`, which appears whole or not at all.

    Raises:
        TargetError: No linker is found, a symbol is unknown, or an object is another machine's.
        ArtefactError: An object that is missing or no ELF file.
        OutputError: The library cannot be written.
    """
    options = options or LinkOptions()
    symbols = [read_symbols(path) for path in objects]
    for path, facts in zip(objects, symbols, strict=True):
        if facts.machine != spec.machine:
            raise TargetError(
                f"{path.name} is {facts.machine}, but target '{spec.name}' is {spec.machine}"
            )
    if not output.absolute().parent.is_dir():
        raise OutputError(f"cannot write {output}: there is no folder {output.parent}")
    linker = choose_linker(spec, options)
    flags = _COMMON_FLAGS + (_ANDROID_FLAGS if spec.linker == "android-arm64" else ())
    if options.without_tvm:
        flags += (f"-soname {output.name}",)
    with scratch_folder("mqnet-link-") as work_name:
        try:
            libraries = _libraries(spec, linker, symbols, work_name, options.without_tvm)
        except OSError as error:
            raise OutputError(f"cannot write {error.filename}: {error.strerror}") from error
        with atomic_path(output) as unfinished:
            # Libraries after the objects: some drivers drop those that nothing asked for yet.
            command = _command(spec, linker, _LIBRARY, unfinished, flags)
            _run_linker([*command, *map(str, objects), *libraries], output)
    needed = read_needed(output)
    return LinkReport(spec.linker, linker.name(), linker.version(), needed)


def link_android_program(spec: TargetSpec, objects: Sequence[Path], output: Path) -> None:
    """Links objects, one of which defines `_start`, into a program of Android's that loads its C
    library; by lld, with which no NDK is needed.

    Raises:
        TargetError: There is no lld, or a symbol is unknown.
    """
    linker = find_lld(None)
    if linker is None:
        raise TargetError(f"no linker for a program of target '{spec.name}': {_INSTALL_LLD}")
    symbols = [read_symbols(path) for path in objects]
    with scratch_folder("mqnet-link-") as work, atomic_path(output) as unfinished:
        libraries = _libraries(spec, linker, symbols, work, without_tvm=True)
        flags = (*_COMMON_FLAGS, *_ANDROID_FLAGS, _ANDROID_LOADER)
        command = _command(spec, linker, _PROGRAM, unfinished, flags)
        _run_linker([*command, *map(str, objects), *libraries], output)
        unfinished.chmod(0o755)


def choose_linker(spec: TargetSpec, options: LinkOptions) -> Linker:
    """The linker that serves the target on this machine.

    Raises:
        TargetError: There is none; says what to install.
    """
    path = options.search_path
    if spec.linker == "android-arm64":
        linker = (
            Linker((str(options.ndk_compiler),), is_driver=True)
            if options.ndk_compiler
            else find_lld(path)
        )
        remedy = f"{_INSTALL_LLD}, or set ANDROID_NDK_HOME"
    elif spec.linker == "linux-arm64":
        linker = find_lld(path) or find_compiler(["aarch64-linux-gnu-gcc"], path)
        remedy = f"{_INSTALL_LLD} or gcc-aarch64-linux-gnu"
    else:
        linker = find_compiler(["cc", "gcc", "clang"], path) or find_lld(path)
        remedy = f"install gcc (apt-get install gcc), or {_INSTALL_LLD}"
    if linker is None:
        raise TargetError(f"no linker for target '{spec.name}': {remedy}")
    return linker


def _undefined(objects: Iterable[ElfSymbols]) -> frozenset[str]:
    """What no object of the set defines itself."""
    facts = list(objects)
    defined = frozenset[str]().union(*(one.defined for one in facts))
    return frozenset[str]().union(*(one.undefined for one in facts)) - defined - _LINKER_SYMBOLS


def _libraries(
    spec: TargetSpec,
    linker: Linker,
    objects: Sequence[ElfSymbols],
    folder: Path,
    without_tvm: bool,
) -> list[str]:
    """The arguments that name the libraries, after making in `folder` those that are stubs.

    A C compiler brings its own C library and its compiler's support library; TVM's two it cannot
    have, and on Android they are stubs that it links itself, so that the NDK alone is enough.
    """
    android = spec.linker == "android-arm64"
    if linker.is_driver and not android:
        return ["-lm"]
    empty = folder / "empty.o"
    empty.write_bytes(empty_object(spec.machine))
    arguments: list[str] = []
    known = sort_symbols("android" if android else "linux", _undefined(objects))
    for soname, symbols in known.items():
        if without_tvm and soname.startswith("libtvm_"):
            continue
        if linker.is_driver and not soname.startswith("libtvm_"):
            arguments.append(f"-l{soname.removeprefix('lib').removesuffix('.so')}")
            continue
        stub = folder / soname
        flags = [f"-soname {soname}", *(f"--defsym={symbol}=0" for symbol in symbols)]
        command = [*_command(spec, linker, _LIBRARY, stub, flags), str(empty)]
        _run_linker(command + (["-nostdlib"] if linker.is_driver else []), stub)
        arguments.append(str(stub))
    return arguments


def _command(
    spec: TargetSpec, linker: Linker, kind: str, output: Path, flags: Iterable[str]
) -> list[str]:
    """The beginning of a command; `-z now` is two arguments of lld and one of a C compiler."""
    command = [*linker.command, kind, "-o", str(output)]
    if linker.is_driver:
        return command + [f"-Wl,{flag.replace(' ', ',')}" for flag in flags]
    return [*command, "-m", _LLD_EMULATION[spec.machine]] + " ".join(flags).split(" ")


def _run_linker(command: list[str], output: Path) -> None:
    result = run_captured(command, output=output)
    if result.returncode == 0:
        return
    said = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    raise TargetError(
        f"{Path(command[0]).name} could not link {output.name}: "
        f"{said[0] if said else f'exit code {result.returncode}'}"
    )
