"""Builds that cannot be: unknown targets, sizes, options and checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import (
    CA,
    QUICK,
    Command,
    as_user,
    check_sentence,
    contents,
    needs_lld,
    write_nothing,
    write_text,
)
from safetensors.torch import save_file

from compile.build_request import parse_size
from compile.support.errors import MqnetError
from targets.load_target import TARGET_FOLDER, list_targets


def test_unknown_target(out: Path):
    outcome = as_user("compile/build", "--target", "cortex-a77", "--out", out / "new")
    check_sentence(outcome, "cortex-a77", "cortex-a76")
    assert contents(out) == {}


@pytest.mark.parametrize("command", ["compile/build", "compile/tune", "bench/latency"])
def test_instruction_set_that_cannot_be(here: Command, out: Path, command: str):
    outcome = here(command, "--target", "host", "--instruction-set", "avx3")
    check_sentence(outcome, "unknown instruction set 'avx3'", "this machine has")
    outcome = here(command, "--target", "cortex-a76", "--instruction-set", "sdot")
    check_sentence(outcome, "cannot be chosen for target cortex-a76", "--target host")
    assert contents(out) == {}


def test_unknown_target_with_no_near_name(here: Command, out: Path):
    outcome = here("compile/build", "--target", "zzzzzzzz", "--out", out / "new")
    check_sentence(outcome, *list_targets())
    assert contents(out) == {}


@needs_lld
def test_target_file_of_the_users(here: Command, tmp_path: Path, out: Path):
    """As the shipped one; and what LLVM does not know is no artefact for something else."""
    path, text = tmp_path / "mine.toml", (TARGET_FOLDER / "cortex-a76.toml").read_text()
    options = ("--target", path, "--scheme", "fp32", "--size", "32x32", "--json")
    path.write_text(text)
    outcome = here("compile/build", *options, "--out", out / "mine")
    assert json.loads(outcome.out)["target"]["name"] == "mine", outcome.err
    # With the build before in the cache: its content decides.
    path.write_text(text.replace('cpu = "cortex-a76"', 'cpu = "cortex-a67"'))
    outcome = here("compile/build", *options, "--out", out / "new")
    check_sentence(outcome, "mine.toml", "'cortex-a67'", "cortex-a76")
    assert not (out / "new").exists()


def test_strip_of_no_pair(here: Command, out: Path):
    outcome = here("bench/accuracy", "--strips", "forest-0", "forest-9", "--out", out / "new")
    check_sentence(outcome, "forest-9", "forest-3")
    assert contents(out) == {}


def test_no_photographs_of_the_second_test_set(here: Command, tmp_path: Path, out: Path):
    outcome = here("bench/accuracy", "--flat", tmp_path, "--out", out / "new")
    check_sentence(outcome, str(tmp_path), "banana_flower.exr", "scenes.py fetch")
    assert contents(out) == {}


def test_size_below_32(out: Path):
    outcome = as_user("compile/build", "--target", "host", "--size", "31x64", "--out", out / "new")
    check_sentence(outcome, "31x64", "32x32")
    assert contents(out) == {}


@pytest.mark.parametrize(
    "size",
    ["768", "x", "", "0x64", "64x0", "-64x64", "64x96x3", "64 x 96", "6.4x64", "axb", "64X64"],
)
def test_malformed_size(here: Command, out: Path, size: str):
    check_sentence(
        here("compile/build", "--target", "host", f"--size={size}", "--out", out / "new"), size
    )
    assert contents(out) == {}


def test_size_that_no_machine_holds():
    """Without the command around it: a build that did start would ask for 30 GB."""
    with pytest.raises(MqnetError, match="99999x99999"):
        parse_size("99999x99999")


@pytest.mark.parametrize(
    "options",
    [
        ("--target", "host", "--scheme", "int4"),
        ("--target", "host", "--attention", "cab"),
        ("--target", "host", "--threads", "many"),
        ("--target", "host", "--no-such-option"),
    ],
)
def test_options_that_the_parser_refuses(here: Command, options: tuple[str, ...]):
    outcome = here("compile/build", *options)
    assert outcome.code == 2 and outcome.out == ""
    assert outcome.err and "Traceback" not in outcome.err


def _other_architecture(path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path, {"architecture": "resnet", "attention": "ca"})


def _without_metadata(path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path)


def _truncated(path: Path) -> None:
    path.write_bytes(CA.read_bytes()[:100_000])


def _missing(path: Path) -> None:
    assert not path.exists()


def test_checkpoint_of_another_architecture(tmp_path: Path, out: Path):
    path = tmp_path / "resnet.safetensors"
    _other_architecture(path)
    outcome = as_user("compile/build", *QUICK, "--checkpoint", path, "--out", out / "new")
    check_sentence(outcome, str(path), "resnet", "mqnet")
    assert contents(out) == {}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_metadata, "architecture"),
        (_truncated, "copy it again"),
        (_missing, "does not exist"),
        (write_text, "safetensors"),
        (write_nothing, "safetensors"),
    ],
)
def test_bad_checkpoint(
    here: Command, tmp_path: Path, out: Path, spoil: Callable[[Path], None], words: str
):
    path = tmp_path / "weights.safetensors"
    spoil(path)
    outcome = here("compile/build", *QUICK, "--checkpoint", path, "--out", out / "new")
    check_sentence(outcome, str(path), words)
    assert contents(out) == {}


@pytest.mark.parametrize("option", ["recipe", "checkpoint"])
def test_a_folder_in_the_place_of_a_file(here: Command, out: Path, option: str):
    """One that holds the output, too: that it is an input is not what is wrong."""
    outcome = here("compile/build", f"--{option}", out, "--out", out / "new")
    check_sentence(outcome, f"{option} {out} is a folder")
    assert contents(out) == {}


def test_checkpoint_that_is_a_pickle(here: Command, tmp_path: Path, out: Path):
    path = tmp_path / "weights.pt"
    torch.save({"weight": torch.zeros(3)}, path)
    outcome = here("compile/build", *QUICK, "--checkpoint", path, "--out", out / "new")
    check_sentence(outcome, str(path), "pickle")
    assert contents(out) == {}


def test_checkpoint_of_another_attention(here: Command, out: Path):
    outcome = here(
        "compile/build", *QUICK, "--attention", "sa", "--checkpoint", CA, "--out", out / "new"
    )
    check_sentence(outcome, str(CA), "'ca'", "'sa'")
    assert contents(out) == {}
