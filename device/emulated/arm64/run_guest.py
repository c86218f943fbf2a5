"""Runs a command on the emulated board and says in a sentence why it failed."""

from __future__ import annotations

import signal
import subprocess

from compile.support.errors import ArtefactError, TargetError
from compile.support.run_tool import run_captured
from device.emulated.arm64.command import QEMU


def run_guest(command: list[str], name: str, cpu: str, timeout: float) -> None:
    """Runs what `board_command` has made, in an empty environment.

    Args:
        command: Program and arguments.
        name: What runs there, for the sentences.
        cpu: QEMU's model of the core.
        timeout: Seconds until the run is given up.

    Raises:
        TargetError: QEMU does not know the core or refuses the plugin, or no answer in time.
        ArtefactError: What runs there crashed or failed.
    """
    try:
        result = run_captured(command, env={}, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise TargetError(
            f"{name} gave no answer on the emulated {cpu} in {timeout:g} s"
        ) from error
    if result.returncode == 0:
        return
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    if result.returncode < 0:
        crash = signal.Signals(-result.returncode).name
        reason = " (an instruction that this core does not have)" if crash == "SIGILL" else ""
        raise ArtefactError(f"{name} ended with {crash}{reason} on the emulated {cpu}")
    if any("unable to find CPU model" in line for line in lines):
        raise TargetError(f"QEMU knows no core '{cpu}'; {QEMU} -cpu help lists those it knows")
    if refusal := next((line for line in lines if "plugin" in line and QEMU in line), None):
        raise TargetError(
            f"{refusal}: counting needs a QEMU whose plugin interface is version 1, which 4.2 to 8 "
            "have"
        )
    raise ArtefactError(
        f"{name} failed on the emulated {cpu}: "
        f"{lines[-1] if lines else f'exit code {result.returncode}'}"
    )
