"""`compile/tune.py` on the native RPC server: here, and on an EMULATED arm64."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Command, needs_lld, x86_only
from fixtures_native_server import Start
from tuned_network import KERNELS, TUNED

pytestmark = [x86_only, needs_lld]


@pytest.mark.usefixtures("noise_is_no_drift")
def test_session(
    here: Command, start_native: Start, tracker: tuple[str, int], tmp_path: Path
) -> None:
    options = "--target", "host", *TUNED, "--logs", tmp_path, "--trials", KERNELS, "--json"
    device = "--tracker", "{}:{}".format(*tracker), "--key", "native-phone"
    with start_native(*device) as server:
        outcome = here("compile/tune", *options, *device)
        assert server.is_idle()
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["emulated"] == ""
    measured = [kernel for kernel in found["kernels"] if kernel["measured"]]
    assert len(measured) == KERNELS
    assert all(0 < kernel["best_seconds"] < 1 for kernel in measured)


@pytest.mark.slow
@pytest.mark.usefixtures("noise_is_no_drift")
def test_session_on_an_emulated_phone(
    here: Command, start_native: Start, tracker: tuple[str, int], tmp_path: Path
) -> None:
    """EMULATED: it computes what a phone would, in times that say nothing about any."""
    device = "--tracker", "{}:{}".format(*tracker), "--key", "emulated-phone"
    options = "--target", "linux-arm64", *TUNED, "--logs", tmp_path, "--trials", KERNELS, "--json"
    with start_native(*device, arch="aarch64"):
        outcome = here("compile/tune", *options, *device)
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["emulated"] == "qemu-user"
    assert sum(kernel["measured"] for kernel in found["kernels"]) == KERNELS
