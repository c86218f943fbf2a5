"""`compile/tune.py` over TVM's RPC: on this machine served as a device, and on emulated boards."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
from command_line import QUICK, Command, as_user, check_sentence, needs_lld, x86_only
from fixtures_device import Served, free_port

from compile.records.log_folder import records_name
from compile.records.records import read_database
from compile.records.session_file import SESSION
from targets.load_target import load_target

pytestmark = [x86_only, needs_lld]
HOST = records_name(load_target("host"))
# The kernels of QUICK are more than these: all default configurations are measured, and no more.
TRIALS = "--trials", 20, "--json"


@pytest.mark.usefixtures("noise_is_no_drift")
def test_session_on_a_device(here: Command, board: Served, tmp_path: Path) -> None:
    outcome = here("compile/tune", *QUICK, "--logs", tmp_path, *board.options, *TRIALS)
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["emulated"] == ""
    measured = [kernel for kernel in found["kernels"] if kernel["measured"]]
    assert len(measured) >= 20
    assert all(0 < kernel["best_seconds"] < 1 for kernel in measured)
    log = read_database(tmp_path / HOST)
    assert sum(map(len, log.by_kernel.values())) >= 20
    assert board.becomes_free()


def test_key_that_no_device_has(board: Served, tmp_path: Path) -> None:
    tracker = board.options[1]
    options = (*QUICK, "--logs", tmp_path, "--tracker", tracker, "--key", "other")
    check_sentence(as_user("compile/tune", *options), "'other'", "'board'", "device/serve.py")
    assert not list(tmp_path.iterdir())


def test_no_tracker(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    options = (*QUICK, "--logs", tmp_path, "--tracker", address, "--key", "x")
    check_sentence(as_user("compile/tune", *options), address, "no TVM tracker answers")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_session_on_emulated_boards(arm64_root: Path, tmp_path: Path) -> None:
    """Twice, into two logs: the cycles are the same but for some lines that a cache misses more or
    fewer, and every result is checked on the board."""
    found = []
    for logs in (tmp_path / "first", tmp_path / "second"):
        options = "--target", "cortex-a76", "--emulate", "--scheme", "fp32", "--size", "32x32"
        outcome = as_user("compile/tune", *options, "--logs", logs, *TRIALS)
        assert outcome.code == 0, outcome.err
        assert "EMULATED by qemu-user" in outcome.err and "no times, but" in outcome.err
        found.append(json.loads(outcome.out))
        session = json.loads((logs / "cortex-a76" / SESSION).read_text())
        assert session["device"]["cpu"].startswith("EMULATED by qemu-user")
        assert session["device"]["timing"]["cycles"]["simd"] == 0.5
    first, second = found
    assert first["emulated"] == second["emulated"] == "qemu-user"
    assert not first["notes"] and not second["notes"]
    assert sum(kernel["measured"] for kernel in first["kernels"]) == 20
    for one, other in zip(first["kernels"], second["kernels"], strict=True):
        assert (one["name"], one["measured"]) == (other["name"], other["measured"])
        if one["measured"]:
            # The data of one of these kernels just fill the level 1 cache: what it misses of them
            # depends on where the board's heap has put its scratch memory (1.7 % have been seen).
            assert one["best_seconds"] == pytest.approx(other["best_seconds"], rel=5e-2)
    ours = psutil.Process().children(recursive=True)
    assert not any("qemu" in process.name() for process in ours)
