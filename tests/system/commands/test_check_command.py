"""compile/check.py as a user runs it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import (
    Command,
    as_user,
    check_sentence,
    edit_manifest,
    in_fork,
    needs_lld,
    x86_only,
)
from elftools.elf.elffile import ELFFile
from fixtures_artefacts import ArtefactFactory
from fixtures_device import Served
from planted_errors import planted

from compile.artefact.manifest import LIBRARY, VECTOR
from compile.artefact.reader import Artefact

# ud2, and a jump to itself.
CRASH, LOOP = b"\x0f\x0b", b"\xeb\xfe"


@pytest.fixture
def built(artefact: ArtefactFactory) -> Artefact:
    return artefact(scheme="fp32", size=(32, 32))


def begins_with(built: Artefact, kernel: str, code: bytes) -> dict[int, int]:
    """What lets the function of ``kernel`` begin with ``code``."""
    with built.library.open("rb") as file:
        elf = ELFFile(file)
        (symbol,) = elf.get_section_by_name(".dynsym").get_symbol_by_name(f"__tvm_ffi_{kernel}")
        text = elf.get_section_by_name(".text")
        place = symbol["st_value"] - text["sh_addr"] + text["sh_offset"]
    return {place + index: byte for index, byte in enumerate(code)}


def test_a_right_build(built: Artefact, board: Served) -> None:
    told = as_user("compile/check", built.library.parent, "--threads", "1")
    assert told.code == 0, told.err
    assert f"right: all of {len(built.manifest.calls)} calls" in told.out and "weights" in told.out
    over_rpc = in_fork("compile/check", built.library.parent, *board.options, "--json")
    assert over_rpc.code == 0, over_rpc.err
    found = json.loads(over_rpc.out)
    assert found["right"] and found["wrong"] is None and found["close"] == found["calls"]
    assert board.address.key in found["machine"]


@x86_only
def test_a_crash_and_a_loop_are_told(built: Artefact, board: Served, tmp_path: Path) -> None:
    call = built.manifest.calls[20]
    crashing, looping = (
        planted(built, tmp_path / name, begins_with(built, call.kernel, code)).library.parent
        for name, code in (("crash", CRASH), ("loop", LOOP))
    )
    told = as_user("compile/check", crashing)
    assert told.code == 1 and "Traceback" not in told.err and "Segfault" not in told.err
    first = next(one for one in built.manifest.calls if one.kernel == call.kernel)
    assert f"kernel {call.kernel}, which computes {', '.join(first.layers)}: " in told.out
    assert "it did not come to its end: crashed (SIGILL)" in told.out
    told = in_fork("compile/check", looping, "--seconds", "3", "--json")
    wrong = json.loads(told.out)["wrong"]
    assert told.code == 1 and wrong["kernel"] == call.kernel
    assert "no end within 3 s" in wrong["sentence"]
    told = in_fork("compile/check", crashing, *board.options)
    assert told.code == 1 and "the frame did not come to its end" in told.out
    assert board.becomes_free()


def test_a_wrong_weight_over_rpc(built: Artefact, board: Served, tmp_path: Path) -> None:
    library = built.library.read_bytes()
    place = library.index(b"__tvm_ffi__library_bin") and len(library) // 2
    wrong = planted(built, tmp_path / "wrong", {place: library[place] ^ 64}).library.parent
    told = in_fork("compile/check", wrong, *board.options, "--json")
    found = json.loads(told.out)
    assert told.code == 1 and found["wrong"]["kernel"] and found["wrong"]["layers"]
    assert "a constant, is wrong: 1 of" in found["wrong"]["what"]


def _no_vector_file(folder: Path) -> None:
    (folder / VECTOR).unlink()


def _no_vector(folder: Path) -> None:
    _no_vector_file(folder)
    edit_manifest(folder, lambda manifest: manifest["files"].pop(VECTOR))


def _other_vector(folder: Path) -> None:
    (folder / VECTOR).write_bytes(b"no vector")
    digest = hashlib.sha256(b"no vector").hexdigest()
    edit_manifest(folder, lambda manifest: manifest["files"][VECTOR].update(sha256=digest))


def _changed_library(folder: Path) -> None:
    library = bytearray((folder / LIBRARY).read_bytes())
    library[100] ^= 1
    (folder / LIBRARY).write_bytes(library)


def _more_features(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest["target"]["requires"].append("amx_future"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_no_vector_file, "vector.bin is missing: build it again"),
        (_no_vector, "holds no test vector (vector.bin), which builds of earlier versions"),
        (_other_vector, "is no test vector or a damaged one: build it again"),
        (_changed_library, "does not have the sha256"),
        (_more_features, "amx_future, which this machine lacks"),
    ],
)
def test_a_damaged_build(
    here: Command, copy: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(copy)
    check_sentence(here("compile/check", copy), str(copy), words)


def test_no_build(here: Command, out: Path) -> None:
    check_sentence(here("compile/check", out / "none"), "none", "holds no manifest.json")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--seconds", "0"), "seconds 0 is not a positive number"),
        (("--seconds", "nan"), "seconds nan is not a positive number"),
        (("--threads", "4096"), "threads 4096 is more than"),
        (("--threads", "0"), "threads 0 is not a positive number"),
        (("--key", "board"), "--tracker"),
    ],
)
def test_bad_options(here: Command, host: Path, options: tuple[str, ...], words: str) -> None:
    check_sentence(here("compile/check", host, *options), words)


@x86_only
@needs_lld
def test_a_build_for_another_machine(here: Command, artefact: ArtefactFactory) -> None:
    built = artefact("linux-arm64")
    outcome = here("compile/check", built.library.parent)
    check_sentence(outcome, "linux-arm64", "EM_AARCH64", "x86_64")
