"""What came of a check, as a table on a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from compile.support.tables import print_table
from device.client.check_artefact import CheckReport


def print_check(folder: Path, report: CheckReport) -> None:
    """Print ``report``, of the build in ``folder``, to stdout."""
    table = Table(title=f"{folder} on {report.machine}")
    table.add_column("compared")
    table.add_column("right", justify="right")
    table.add_column("how")
    table.add_row("weights", str(report.weights), "bit for bit")
    table.add_row("calls of integers", str(report.exact), "bit for bit")
    largest = f"within {report.largest:.1%} of what is allowed"
    table.add_row("calls of floats", str(report.close), largest if report.close else "")
    print_table(table)
    others = report.calls - report.exact - report.close
    if report.wrong is not None:
        print(f"WRONG: {report.wrong}")
    elif others:
        print(f"right; {others} of {report.calls} calls have nothing to be compared with")
    else:
        print(f"right: all of {report.calls} calls")
