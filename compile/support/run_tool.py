"""Runs one of the machine's tools and turns its failure into a sentence."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from compile.support.errors import OutputError, TargetError

_log = logging.getLogger(__name__)


def run_captured(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    output: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program that reads nothing, and keep what it prints; it may fail.

    Args:
        command: the program and its arguments.
        env: the whole environment; this process's unless given.
        cwd: the folder that it runs in; this process's unless given.
        timeout: seconds until it is ended.
        output: the file that it writes.

    Raises:
        TargetError: there is no such program.
        OutputError: it says that there is no space for ``output``.
        subprocess.TimeoutExpired: it took longer.
    """
    _log.debug("%s", " ".join(command))
    try:
        result = subprocess.run(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )
    except OSError as error:
        raise TargetError(f"{command[0]} cannot be run: {error.strerror}") from error
    if result.returncode and output is not None and os.strerror(errno.ENOSPC) in result.stderr:
        raise OutputError(f"cannot write {output}: {os.strerror(errno.ENOSPC)}")
    _log.debug("%s%s", result.stdout, result.stderr)
    return result


def run_tool(
    command: list[str],
    failure: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run a program that has to succeed.

    Raises:
        TargetError: it failed: ``failure`` and the program's own last error line.
    """
    result = run_captured(command, env, cwd)
    if result.returncode:
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("E:", "ERROR:", "dpkg-deb:"))]
        errors = errors or [line for line in lines if ": error:" in line]
        raise TargetError(f"{failure}: {(errors or lines or ['no message'])[-1].strip()}")
