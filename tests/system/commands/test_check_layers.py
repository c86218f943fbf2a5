"""compile/check.py --layers as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Command, check_sentence, in_fork, x86_only
from elftools.elf.elffile import ELFFile
from fixtures_artefacts import ArtefactFactory
from fixtures_device import Served
from PIL import Image
from planted_errors import planted

from compile.artefact.reader import Artefact

# xor eax, eax; ret: nothing is computed, and no error told.
NOTHING = b"\x31\xc0\xc3"
HEAD = "net.head.conv1"


@pytest.fixture
def built(artefact: ArtefactFactory) -> Artefact:
    return artefact()


def test_over_rpc(built: Artefact, board: Served, tmp_path: Path) -> None:
    histogram = "--histogram", HEAD, tmp_path / "values.png"
    folder = built.library.parent
    told = in_fork("compile/check", folder, "--layers", *histogram, *board.options, "--json")
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert board.address.key in found["machine"] and found["first_off"] is None
    head = next(layer for layer in found["layers"] if HEAD in layer["modules"])
    assert (
        head["kernel"] and head["compiled"]["own"]["sqnr"] > head["compiled"]["accumulated"]["sqnr"]
    )
    with Image.open(tmp_path / "values.png") as picture:
        assert picture.size == (1200, 675)


@x86_only
def test_a_wrong_kernel_is_kept(built: Artefact, tmp_path: Path) -> None:
    call = next(call for call in built.manifest.calls if "conv2d" in call.kernel)
    with built.library.open("rb") as file:
        elf = ELFFile(file)
        (symbol,) = elf.get_section_by_name(".dynsym").get_symbol_by_name(
            f"__tvm_ffi_{call.kernel}"
        )
        text = elf.get_section_by_name(".text")
        place = symbol["st_value"] - text["sh_addr"] + text["sh_offset"]
    library = built.library.read_bytes()
    code = {place + index: byte for index, byte in enumerate(NOTHING)}
    code = {at: byte for at, byte in code.items() if library[at] != byte}
    wrong, kept = planted(built, tmp_path / "wrong", code).library.parent, tmp_path / "kept"
    told = in_fork("compile/check", wrong, "--layers", "--failing", kept, "--threads", "1")
    assert told.code == 1, told.err
    number = built.manifest.calls.index(call)
    assert (
        f"WRONG: call {number}, kernel {call.kernel}, which computes {call.layers[0]}" in told.out
    )
    assert f"kept in {kept}" in told.out
    alone = subprocess.run(
        [sys.executable, kept / "run_call.py"], capture_output=True, text=True, cwd="/"
    )
    assert alone.returncode == 1, alone.stderr
    assert f"kernel {call.kernel}" in alone.stdout and "values differ" in alone.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--histogram", "net.tail", "x.png"), ("no tensor or module is called 'net.tail'", HEAD)),
        (("--checkpoint", "none.pt"), ("was built with checkpoint", "give it by --checkpoint")),
    ],
)
def test_mistakes(here: Command, built: Artefact, options: tuple[str, ...], words: str) -> None:
    check_sentence(here("compile/check", built.library.parent, "--layers", *options), *words)


@pytest.mark.parametrize(
    "options", [("--histogram", HEAD, "x.png"), ("--recipe", "x.toml"), ("--checkpoint", "x.pt")]
)
def test_what_is_for_layers_alone(here: Command, tmp_path: Path, options: tuple[str, ...]) -> None:
    outcome = here("compile/check", tmp_path, *options)
    check_sentence(outcome, options[0], "give --layers with it")
