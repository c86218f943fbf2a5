"""Runs one of the machine's tools and turns its failure into a sentence."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Mapping
from pathlib import Path

from compile.support.errors import TargetError

_log = logging.getLogger(__name__)


def run_tool(
    command: list[str],
    failure: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Runs a program.

    Raises:
        TargetError: It failed: ``failure`` and the program's own last error line.
    """
    result = subprocess.run(
        command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    _log.debug("%s\n%s%s", " ".join(command), result.stdout, result.stderr)
    if result.returncode:
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("E:", "ERROR:", "dpkg-deb:"))]
        errors = errors or [line for line in lines if ": error:" in line]
        raise TargetError(f"{failure}: {(errors or lines or ['no message'])[-1].strip()}")
