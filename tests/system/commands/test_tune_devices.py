"""`compile/tune.py` over TVM's RPC: on this machine served as a device, and on emulated boards."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
from command_line import QUICK, Command, check_sentence, in_fork, needs_lld, x86_only
from fixtures_device import Served, free_port
from tuned_network import KERNELS, TUNED

from compile.records.log_folder import records_name
from compile.records.records import read_database
from compile.records.session_file import SESSION
from targets.load_target import load_target

pytestmark = [x86_only, needs_lld]
HOST = records_name(load_target("host"))
# All default configurations are measured, and no more.
TRIALS = "--trials", KERNELS, "--json"


@pytest.mark.usefixtures("noise_is_no_drift")
def test_session_on_a_device(here: Command, board: Served, tmp_path: Path) -> None:
    options = "--target", "host", *TUNED, "--logs", tmp_path
    outcome = here("compile/tune", *options, *board.options, *TRIALS)
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["emulated"] == ""
    measured = [kernel for kernel in found["kernels"] if kernel["measured"]]
    assert len(measured) == KERNELS
    assert all(0 < kernel["best_seconds"] < 1 for kernel in measured)
    log = read_database(tmp_path / HOST)
    assert sum(map(len, log.by_kernel.values())) == KERNELS
    assert board.becomes_free()


def test_key_that_no_device_has(board: Served, tmp_path: Path) -> None:
    tracker = board.options[1]
    options = (*QUICK, "--logs", tmp_path, "--tracker", tracker, "--key", "other")
    check_sentence(in_fork("compile/tune", *options), "'other'", "'board'", "device/serve.py")
    assert not list(tmp_path.iterdir())


def test_no_tracker(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    options = (*QUICK, "--logs", tmp_path, "--tracker", address, "--key", "x")
    check_sentence(in_fork("compile/tune", *options), address, "no TVM tracker answers")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_session_on_emulated_boards(arm64_root: Path, tmp_path: Path) -> None:
    """Twice, into two logs: the cycles are the same but for some lines that a cache misses more or
    fewer, and every result is checked on the board."""
    found = []
    for logs in (tmp_path / "first", tmp_path / "second"):
        options = "--target", "cortex-a76", "--emulate", *TUNED
        outcome = in_fork("compile/tune", *options, "--logs", logs, *TRIALS)
        assert outcome.code == 0, outcome.err
        assert "EMULATED by qemu-user" in outcome.err and "no times, but" in outcome.err
        found.append(json.loads(outcome.out))
        session = json.loads((logs / "cortex-a76" / SESSION).read_text())
        assert session["device"]["cpu"].startswith("EMULATED by qemu-user")
        assert session["device"]["timing"]["cycles"]["simd"] == 0.5
    first, second = found
    assert first["emulated"] == second["emulated"] == "qemu-user"
    assert not first["notes"] and not second["notes"]
    assert sum(kernel["measured"] for kernel in first["kernels"]) == KERNELS
    for one, other in zip(first["kernels"], second["kernels"], strict=True):
        assert (one["name"], one["measured"]) == (other["name"], other["measured"])
        if one["measured"]:
            # The data of one of these kernels just fill the level 1 cache: what it misses of them
            # depends on where the board's heap has put its scratch memory (1.7 % have been seen).
            assert one["best_seconds"] == pytest.approx(other["best_seconds"], rel=5e-2)
    ours = psutil.Process().children(recursive=True)
    assert not any("qemu" in process.name() for process in ours)
