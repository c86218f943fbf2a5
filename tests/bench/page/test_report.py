"""Reports: every figure is the session's, bad files are named, and a browser shows the page."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from io import StringIO
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from command_line import REPOSITORY
from report_session import row, session

from bench.page.compare_runs import compare_runs
from bench.page.figures import memory
from bench.page.first_page import first_figures, headlines, what_was_measured
from bench.page.size_tables import size_tables
from bench.page.write_report import write_report
from bench.session.run_file import read_run
from compile.support.errors import MqnetError
from device.runtime.gpu_name import POCL_WARNING, SOFTWARE_WARNING

CHROMIUM = shutil.which("chromium")


def changed(**fields: object) -> str:
    """A session whose fourth row is damaged."""
    run = session()
    run["rows"][3] |= fields
    return json.dumps(run)


@pytest.fixture
def run_json(tmp_path: Path) -> Path:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(session()))
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the session, which takes a second to be drawn."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "run.json").write_text(json.dumps(session()))
    return write_report(read_run(folder / "run.json"), None, folder / "report")


def test_a_session_is_read_as_it_was_written(run_json: Path, tmp_path: Path):
    run = read_run(run_json)
    (tmp_path / "again.json").write_text(run.as_json())
    assert read_run(tmp_path / "again.json") == run
    assert [row.is_measured for row in run.rows] == [True] * 12 + [False]


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("bench/reports/*/run.json")), ids=str)
def test_the_sessions_of_the_repository_are_read(path: Path):
    """Written by versions before this one."""
    run, rows = read_run(path), json.loads(path.read_text())["rows"]
    assert [row.p50_ms for row in run.rows] == [row.get("p50_ms") for row in rows]
    assert headlines(run) and len(run.samples) == len(rows)


def test_every_figure_of_the_page_is_of_the_file(page: Path):
    text = page.read_text()
    shown = pd.read_html(StringIO(text), keep_default_na=False)
    assert len(shown) == 4  # Times, and memory and files, of two sizes.
    measured = [one for one in session()["rows"] if "p50_ms" in one]
    for number, size in enumerate(("256x256", "768x1280")):
        rows = [one for one in measured if one["size"] == size]
        times, needs = shown[2 * number].astype(str), shown[2 * number + 1].astype(str)
        for line, expected in zip(times.to_dict("records"), rows, strict=True):
            assert line["network"] == f"{expected['engine']} {expected['scheme']}"
            assert line["threads"] == str(expected["threads"])
            assert float(line["p50"]) == pytest.approx(expected["p50_ms"], abs=0.051)
            assert float(line["CPU"]) == pytest.approx(expected["cpu_ms"], abs=0.051)
            ratio = expected["ratio_to_litert_mixed"]
            assert float(line["ratio"]) == pytest.approx(ratio, abs=0.005)
            assert float(line["PSNR dB"]) == 59.9 and line["notes"] == ""
        rows = [one for one in rows if one["threads"] == 1]
        for line, expected in zip(needs.to_dict("records"), rows, strict=True):
            assert float(line["act. MB"]) == 21 and line["start ms"] == "41"
            assert line["plan MB"] == ("3.2" if expected["engine"] == "tvm" else "")
    assert "Some CPU &lt;b&gt;" in text and "<b>&lt;" not in text and "CPU <b>" not in text
    assert "1 of 13 rows carry flags" in text
    assert "Without a figure: openvino mixed (1 thread): not installed (openvino)." in text


def test_nothing_is_loaded_from_elsewhere(page: Path):
    text = page.read_text()
    assert not re.findall(r"https?:|src=|@import|url\((?!#)|<script|<link", text)
    assert text.count("<svg") == 8  # The first, three of each size, and the time per pixel.


def test_parts_are_beside_the_page(page: Path):
    files = sorted(path.name for path in page.parent.iterdir())
    sizes = "256x256", "768x1280"
    charts = [f"{kind}-{size}.svg" for kind in ("accuracy", "latency", "memory") for size in sizes]
    assert files == sorted([*charts, "first.svg", "latency.csv", "report.html", "scaling.svg"])
    table = pd.read_csv(page.with_name("latency.csv"))
    assert list(table["p50_ms"].dropna()) == [
        r["p50_ms"] for r in session()["rows"] if "cpu_ms" in r
    ]


def test_flags_are_footnotes(tmp_path: Path):
    run = session()
    for one, flags in zip(
        run["rows"], (["only 2 frames", "all"], ["b", "only 10 frames", "all"]), strict=False
    ):
        one["flags"] = flags
    for one in run["rows"][2:-1]:
        one["flags"] = ["all"]
    (tmp_path / "run.json").write_text(json.dumps(run))
    read = read_run(tmp_path / "run.json")
    tables = size_tables(read, "256x256")
    assert tables.notes == ["only 2 to 10 frames", "b"] and tables.times["notes"].tolist()[:3] == [
        "1",
        "2, 1",
        "",
    ]
    page = write_report(read, None, tmp_path / "report").read_text()
    assert "All rows: all." in page and page.count("<li>only 2 to 10 frames</li>") == 1


def test_the_first_page_says_what_was_measured_on_what(run_json: Path, tmp_path: Path):
    run = read_run(run_json)
    text = "this project's mixed beside litert, at 256x256 and 768x1280, on 1 and 2 threads."
    assert what_was_measured(run) == f"The time of one frame, {text}"
    alone = msgspec.structs.replace(run, rows=run.rows[:1])
    text = "this project's mixed, at 256x256, on 1 thread."
    assert what_was_measured(alone) == f"The time of one frame, {text}"
    values = [(one.value, one.what) for one in first_figures(run)]
    assert values == [
        ("93.8 ms", "a frame of 768x1280, 1 thread, tvm mixed"),
        ("2.00 times", "the speed of LiteRT mixed"),
        ("59.9 dB", "PSNR to PyTorch float32"),
        ("3.21 MB", "activations, by the memory plan"),
    ]


def test_the_page_names_its_network_and_its_day(tmp_path: Path):
    run = session()
    run["rows"] = run["rows"][:1]
    run["environment"] |= {"network": "unet", "date": "2026-11-29"}
    (tmp_path / "run.json").write_text(json.dumps(run))
    read = read_run(tmp_path / "run.json")
    text = write_report(read, None, tmp_path / "report").read_text()
    assert "<h1>unet: latency of one frame</h1>" in text and "2026-11-29." in text


def test_headlines_say_who_is_ahead(run_json: Path):
    first, *others = headlines(read_run(run_json))
    assert first == (
        "256x256, 1 thread: tvm mixed is 2.00 times as fast as LiteRT mixed (1.98 to 2.02): 6.2 ms"
    )
    assert len(others) == 3


def test_headlines_where_we_are_behind_or_litert_is_missing(tmp_path: Path):
    behind, alone = session(), session()
    behind["rows"] = [row("tvm", "mixed", "256x256", 1, 25.0, 0.5)]
    alone["rows"] = [row("tvm", "mixed", "256x256", 2, 25.0, None)]
    for run, text in ((behind, "0.50 times as fast as"), (alone, "tvm mixed is the fastest")):
        (tmp_path / "run.json").write_text(json.dumps(run))
        (line,) = headlines(read_run(tmp_path / "run.json"))
        assert text in line


@pytest.mark.parametrize("builds", [("old", "new"), ("", "")], ids=["named", "of an older file"])
def test_two_builds_of_one_kind_are_told_apart(tmp_path: Path, builds: tuple[str, str]):
    run = session()
    twice = [r for r in run["rows"] if r["engine"] == "tvm"]
    run["rows"] = [r | {"build": builds[0]} if r in twice else r for r in run["rows"]]
    run["rows"] += [r | {"build": builds[1], "p50_ms": 1.05 * r["p50_ms"]} for r in twice]
    (tmp_path / "run.json").write_text(json.dumps(run))
    read = read_run(tmp_path / "run.json")
    names = {"tvm mixed (old)", "tvm mixed (new)"} if builds[0] else {"tvm mixed", "tvm mixed (2)"}
    assert {row.name for row in read.rows if row.engine == "tvm"} == names
    write_report(read, read, tmp_path / "report")
    assert set(compare_runs(read, read)["verdict"]) == {"within noise"}
    assert len(compare_runs(read, read)) == 12
    assert len([line for line in headlines(read) if "tvm mixed" in line]) == 8


@pytest.mark.parametrize("warning", [POCL_WARNING, SOFTWARE_WARNING])
def test_a_processor_that_plays_a_gpu_is_in_no_headline(tmp_path: Path, warning: str):
    run = session()
    run["rows"] = [r | {"flags": [warning]} for r in run["rows"] if r["size"] == "256x256"]
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert all("rank nothing" in line for line in headlines(read_run(tmp_path / "run.json")))
    run["rows"][1]["flags"] = []
    (tmp_path / "run.json").write_text(json.dumps(run))
    first, second = headlines(read_run(tmp_path / "run.json"))
    assert first == "256x256, 1 thread: litert mixed is the fastest" and "rank nothing" in second


def test_what_ranks_nothing_is_in_no_first_figure_and_in_no_first_chart(tmp_path: Path):
    run = session()
    for r in run["rows"]:
        r["flags"] = [POCL_WARNING] if r["engine"] == "tvm" else r["flags"]
    (tmp_path / "run.json").write_text(json.dumps(run))
    read = read_run(tmp_path / "run.json")
    assert first_figures(read) == []
    write_report(read, None, tmp_path / "report")
    chart = (tmp_path / "report" / "first.svg").read_text()
    assert "litert mixed" in chart and "tvm" not in chart


def test_a_session_without_litert_has_no_ratios(tmp_path: Path):
    run = session()
    run["rows"] = [r | {"ratio_to_litert_mixed": None, "ratio_interval": None} for r in run["rows"]]
    (tmp_path / "run.json").write_text(json.dumps(run))
    read = read_run(tmp_path / "run.json")
    assert "ratio" not in size_tables(read, "256x256").times
    second = first_figures(read)[1]
    assert second == ("2.00 times", "the speed of litert mixed, the fastest other", "")
    write_report(read, None, tmp_path / "report")


def test_memory_is_shown_as_measured_and_as_planned(run_json: Path):
    rows = read_run(run_json).measured()
    figure = memory(rows[rows["size"] == "256x256"])
    (panel,) = figure.axes
    names = [label.get_text() for label in panel.get_yticklabels()]
    assert names == ["tvm mixed", "litert mixed", "litert fp32"]
    (bars,) = panel.containers
    assert [bar.get_width() for bar in bars] == [20.6, 20.6, 20.6]
    assert list(panel.lines[0].get_xdata())[0] == 3.21


def test_memory_of_a_device_is_left_out(tmp_path: Path):
    run = session()
    run["rows"] = [r | {"activation_mb": None} for r in run["rows"] if "p50_ms" in r]
    (tmp_path / "run.json").write_text(json.dumps(run))
    rows = read_run(tmp_path / "run.json").measured()
    assert memory(rows[rows["size"] == "256x256"]) is None


def test_a_session_from_before_the_plan_was_noted(tmp_path: Path):
    run = session()
    for r in run["rows"]:
        r.pop("planned_activation_mb", None)
    (tmp_path / "run.json").write_text(json.dumps(run))
    read = read_run(tmp_path / "run.json")
    write_report(read, None, tmp_path / "report")
    assert "plan MB" not in size_tables(read, "256x256").needs
    assert [one.value for one in first_figures(read)][2:] == ["59.9 dB", "41 ms"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"run\.json cannot be read \(No such file"),
        (json.dumps(session())[:-300], "truncated or not JSON"),
        (json.dumps(session() | {"format": 0}), "is of format 0, from an older"),
        ("[1, 2]", "it says no format"),
        (json.dumps({"format": 1, "rows": []}), "missing required field `environment`"),
        (changed(p50_ms="fast"), r"run\.json is damaged at rows\[3\]\.p50_ms \(expected `float"),
        (changed(p50_ms=-1), r"damaged at rows\[3\]\.p50_ms"),
        (changed(p90_ms=None), r"damaged at rows\[3\] \(only some of p10_ms"),
        (changed(ratio_interval=[1.0]), r"damaged at rows\[3\]\.ratio_interval"),
        (changed(ratio_interval=None), r"damaged at rows\[3\] \(a ratio and its interval"),
        (changed(size="large"), r"damaged at rows\[3\]\.size"),
        (changed(flags=None), r"damaged at rows\[3\]\.flags"),
        (json.dumps(session() | {"rows": session()["rows"][-1:]}), "has no row with a figure"),
    ],
)
def test_files_that_are_no_session(tmp_path: Path, content: str | None, message: str):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(MqnetError, match=message):
        read_run(tmp_path / "run.json")


def test_a_change_counts_where_the_intervals_part(tmp_path: Path, run_json: Path):
    changed = copy.deepcopy(session())
    ours = [r for r in changed["rows"] if r["engine"] == "tvm"]
    for r, ratio in zip(ours, (2.5, 2.01, 1.5, 2.0), strict=True):
        r["ratio_to_litert_mixed"], r["ratio_interval"] = ratio, [ratio - 0.02, ratio + 0.02]
    (tmp_path / "new.json").write_text(json.dumps(changed))
    old, new = read_run(run_json), read_run(tmp_path / "new.json")
    table = compare_runs(old, new)
    assert list(table[table["engine"] == "tvm"]["verdict"]) == [
        *("faster", "within noise", "slower", "within noise"),
    ]
    assert list(table["change"])[0] == pytest.approx(0.25)
    page = write_report(new, old, tmp_path / "report").read_text()
    assert "+25.0%" in page and "within noise" in page


def test_sessions_of_two_machines_are_not_compared(tmp_path: Path, run_json: Path):
    other = session()
    other["environment"]["cpu"] = "Another CPU"
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(MqnetError, match="'Another CPU'.*sessions of one machine"):
        compare_runs(read_run(tmp_path / "other.json"), read_run(run_json))


def test_a_device_that_does_not_say_what_it_is_is_not_compared(tmp_path: Path):
    """Not even with itself: it could be another one of the same key."""
    unknown = session()
    unknown["environment"]["cpu"] = None
    (tmp_path / "unknown.json").write_text(json.dumps(unknown))
    run = read_run(tmp_path / "unknown.json")
    with pytest.raises(MqnetError, match="does not say what CPU"):
        compare_runs(run, run)


def test_an_emulated_device_is_said_to_be_one_and_by_nothing_else(tmp_path: Path):
    emulated = session()
    emulated["environment"] |= {"cpu": "EMULATED by qemu-user: x", "emulated": "qemu-user"}
    for r in emulated["rows"]:
        r |= {name: None for name in ("cpu_ms", "peak_rss_mb", "activation_mb") if name in r}
    (tmp_path / "run.json").write_text(json.dumps(emulated))
    run = read_run(tmp_path / "run.json")
    assert headlines(run) == ["EMULATED by qemu-user: its times say nothing about any device"]
    page = write_report(run, None, tmp_path / "report").read_text()
    assert "EMULATED</h1>" in page and "as fast as" not in page
    first = page[: page.index("</section>")]
    assert " ms" not in first and "59.9 dB" in first
    charts = [path.read_text() for path in (tmp_path / "report").glob("*.svg")]
    assert len(charts) == 6 and all("EMULATED by qemu-user" in chart for chart in charts)


def test_sessions_without_a_ratio_in_common(tmp_path: Path, run_json: Path):
    other = session()
    for r in other["rows"]:
        r["size"] = "32x32"
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(MqnetError, match="no ratio in common"):
        compare_runs(read_run(tmp_path / "other.json"), read_run(run_json))


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_shows_and_prints_it(page: Path, tmp_path: Path):
    browser = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=2000",
    ]
    seen = subprocess.run(
        [*browser, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True
    ).stdout
    assert seen.count('<tr class="ours">') == 6
    assert seen.count("<svg") == 8
    pdf = tmp_path / "page.pdf"
    subprocess.run(
        [*browser, f"--print-to-pdf={pdf}", page.as_uri()], capture_output=True, check=True
    )
    assert pdf.read_bytes().startswith(b"%PDF") and pdf.stat().st_size > 50_000
