"""Builds the same networks from two checkouts and compares the libraries bit for bit.

Modules that are only moved or renamed must leave every library as it was. Nothing in one depends on
where it is made: two builds of one checkout are equal in every bit, from whatever folder and to
whatever folder (the linkers' build id is a hash of the rest, and calibration runs on one thread).
So whatever differs, differs between the checkouts. Both build on this machine, each by its own
compile/build.py; the target "host" is therefore this machine in both.

With other versions of TVM, of PyTorch or of a linker differences mean nothing: give both checkouts
the same interpreter, or two with the same packages.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import tyro
from elftools.elf.elffile import ELFFile

#: Sections that neither the loader nor the code looks at.
_BESIDE_CODE_AND_DATA = {".note.gnu.build-id", ".comment", ".symtab", ".strtab", ".shstrtab"}


@dataclass(frozen=True)
class Options:
    """Build from two checkouts and compare the libraries bit for bit: a line for each build, exit
    code 1 where one differs.

    Example: python tests/support/compare_libraries.py ../before . --targets host rpi4
    """

    old: tyro.conf.Positional[Path]
    """Checkout to compare with."""

    new: tyro.conf.Positional[Path]
    """Checkout that should build the same."""

    targets: tuple[str, ...] = ("host", "cortex-a76", "rpi4", "linux-mali")
    """Machines to build for."""

    schemes: tuple[str, ...] = ("mixed", "fp32")
    """Precisions."""

    size: str = "256x256"
    """Height x width of the picture."""

    old_python: Path = Path(sys.executable)
    """Interpreter that the old checkout is built with; the one that runs this unless given."""

    new_python: Path = Path(sys.executable)
    """Interpreter that the new one is built with."""


@dataclass(frozen=True)
class Checkout:
    """Sources, and the interpreter that runs them."""

    folder: Path
    python: Path

    def check(self) -> None:
        """Exit where the interpreter would take the package from elsewhere: one that it has
        installed, say."""
        command = [self.python, "-P", "-c", "import compile; print(compile.__file__)"]
        found = self._run(command).stdout.strip()
        if not Path(found).is_relative_to(self.folder):
            sys.exit(f"error: {self.python} takes compile from {found}, not from {self.folder}")

    def build(self, *options: str) -> None:
        """Run its compile/build.py.

        Raises:
            RuntimeError: the build failed; the text is what it said.
        """
        done = self._run([self.python, "compile/build.py", *options])
        if done.returncode:
            raise RuntimeError(f"{self.folder} does not build:\n{done.stderr.strip()}")

    def _run(self, command: list[Path | str]) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            command,
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )


def main() -> None:
    """Entry point."""
    options = tyro.cli(Options)
    checkouts = [
        Checkout(options.old.resolve(), options.old_python.absolute()),
        Checkout(options.new.resolve(), options.new_python.absolute()),
    ]
    for checkout in checkouts:
        checkout.check()
    equal = [
        _compare_builds(checkouts, target, scheme, options.size)
        for target, scheme in product(options.targets, options.schemes)
    ]
    sys.exit(0 if all(equal) else 1)


def _compare_builds(checkouts: list[Checkout], target: str, scheme: str, size: str) -> bool:
    """Print a line, and where the libraries differ; whether they are equal."""
    with tempfile.TemporaryDirectory(prefix="mqnet-compare-") as scratch:
        folders = [Path(scratch) / name for name in ("old", "new")]

        def build(checkout: Checkout, folder: Path) -> None:
            options = ("--target", target, "--scheme", scheme, "--size", size)
            checkout.build(*options, "--out", str(folder))

        try:
            with ThreadPoolExecutor() as pool:
                list(pool.map(build, checkouts, folders))
        except RuntimeError as error:
            found = [str(error)]
        else:
            found = compare_folders(*folders, [checkout.folder for checkout in checkouts])
        files = sorted(folders[1].glob("*.so"))
        hashes = " ".join(hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files)
    print(f"{target} {scheme} {size}: {'DIFFERENT' if found else 'equal'} {hashes}", flush=True)
    for line in found:
        print(f"  {line}", flush=True)
    return not found


def compare_folders(old: Path, new: Path, paths: Sequence[Path] = ()) -> list[str]:
    """What differs between the libraries of two builds; nothing where every bit is the same. Of
    ``paths`` it is said where a differing section names one."""
    names = sorted({path.name for folder in (old, new) for path in folder.glob("*.so")})
    found = [] if names else ["no library"]
    for name in names:
        if not ((old / name).exists() and (new / name).exists()):
            found.append(f"{name} is built by one of them only")
        elif (old / name).read_bytes() != (new / name).read_bytes():
            lines = _compare_libraries(old / name, new / name, (old, new, *paths))
            found += [f"{name}: {line}" for line in lines]
    return found


def _compare_libraries(old: Path, new: Path, paths: Sequence[Path]) -> list[str]:
    """Where two ELF files differ, section by section, and whether it matters."""
    before, after = _sections(old), _sections(new)
    differing = [
        name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)
    ]
    lines = [_difference(name, before, after) for name in differing]
    for path, name in product(paths, differing):
        if any(os.fsencode(path) in side.get(name, b"") for side in (before, after)):
            lines.append(f"{name} holds the path {path}")
    if not differing:
        lines.append("all sections are equal: headers, order or padding differ")
    elif differing == [".note.gnu.build-id"]:
        lines.append("only the build id differs")
    elif set(differing) <= _BESIDE_CODE_AND_DATA:
        lines.append("code and data are equal")
    return lines


def _sections(path: Path) -> dict[str, bytes]:
    """Name to content; of one that takes no space in the file, how much it takes in memory."""
    with path.open("rb") as file:
        return {
            section.name or "(none)": b"%d bytes" % section["sh_size"]
            if section["sh_type"] == "SHT_NOBITS"
            else section.data()
            for section in ELFFile(file).iter_sections()
        }


def _difference(name: str, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> str:
    if name not in before or name not in after:
        return f"{name} is only in the {'new' if name in after else 'old'} one"
    old, new = before[name], after[name]
    if len(old) != len(new):
        return f"{name} has {len(new):,} bytes instead of {len(old):,}"
    places = [place for place, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1]]
    return f"{name} differs in {len(places):,} of {len(old):,} bytes, first at {places[0]:#x}"


if __name__ == "__main__":
    main()
