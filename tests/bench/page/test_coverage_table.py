"""What a report says of integers: the manifest's own numbers."""

from __future__ import annotations

from pathlib import Path

import msgspec
from report_session import session

from bench.page.coverage_table import coverage_table, float_table
from bench.page.write_report import write_report
from bench.session.run_file import RunFile
from compile.artefact.manifest import Coverage, FloatOperation

SOFTMAX = FloatOperation("net.end", "softmax", "it has <no> integer kernel")


def run_with_coverage() -> RunFile:
    """A session whose first row is of a build that computes some in float."""
    plain = session()
    plain.pop("format")
    run = msgspec.convert(plain, RunFile)
    coverage = Coverage(300, 100, 7, 3, ("net.end",), (SOFTMAX,))
    first = msgspec.structs.replace(run.rows[0], coverage=coverage, weight_mb=1.234)
    return msgspec.structs.replace(run, rows=(first, *run.rows[1:3]))


def test_a_line_for_each_build() -> None:
    run = run_with_coverage()
    (line,) = coverage_table(run.rows).to_dict("records")
    assert line["of them int8"] == "75.0 %" and line["kernel calls in integers"] == "7 of 10"
    assert line["weights MB"] == "1.23" and line["build"] == run.rows[0].name
    (line,) = float_table(run.rows).to_dict("records")
    assert (line["module"], line["operation"]) == ("net.end", "softmax")
    assert coverage_table(run.rows[1:]).empty and float_table(run.rows[1:]).empty


def test_the_page_has_them_and_the_csv_has_not(tmp_path: Path) -> None:
    page = write_report(run_with_coverage(), None, tmp_path).read_text()
    assert "What is computed in integers" in page and "it has &lt;no&gt; integer kernel" in page
    assert "coverage" not in (tmp_path / "latency.csv").read_text().splitlines()[0]


def test_a_session_without_our_builds_has_no_section(tmp_path: Path) -> None:
    run = run_with_coverage()
    page = write_report(msgspec.structs.replace(run, rows=run.rows[1:]), None, tmp_path).read_text()
    assert "What is computed in integers" not in page


def test_the_file_keeps_it(tmp_path: Path) -> None:
    run = run_with_coverage()
    again = msgspec.json.decode(run.as_json(), type=RunFile)
    assert again.rows[0].coverage == run.rows[0].coverage
