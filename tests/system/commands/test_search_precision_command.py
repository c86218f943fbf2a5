"""`compile/search_precision.py` as a user calls it: what cannot be searched is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Command, check_sentence, contents
from searched_network import SEARCHED

_HOST = "--target", "host", *SEARCHED


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (SEARCHED, ("--target is missing", "--target host")),
        ((*_HOST, "--budget", "20%"), ("budget '20%' is no number of dB", "0.2dB")),
        ((*_HOST, "--trials", "2"), ("trials 2", "from 3")),
        ((*_HOST, "--emulate"), ("target host cannot be emulated", "cortex-a76")),
        (("--target", "rpi4", *SEARCHED), ("cannot be timed here", "--emulate")),
        (("--target", "cortex-a67", *SEARCHED), ("cortex-a67", "cortex-a76")),
        ((*_HOST, "--photos", "none"), ("none is no folder",)),
    ],
)
def test_what_cannot_be_searched(
    here: Command, out: Path, options: tuple[str, ...], said: tuple[str, ...]
):
    check_sentence(here("compile/search_precision", *options, "-o", out / "r.toml"), *said)
    assert contents(out) == {}


def test_outputs_that_cannot_be(here: Command, out: Path):
    check_sentence(here("compile/search_precision", *_HOST, "-o", out / "r.txt"), "end its name")
    (out / "r.png").mkdir()
    check_sentence(here("compile/search_precision", *_HOST, "-o", out / "r.toml"), "is a folder")
    (out / "r.jsonl").write_text("{}\n")
    (out / "r.png").rmdir()
    outcome = here("compile/search_precision", *_HOST, "-o", out / "r.toml")
    assert outcome.code == 2 and "holds a search of no precisions" in outcome.err
    assert contents(out) == {"r.jsonl": b"{}\n"}
