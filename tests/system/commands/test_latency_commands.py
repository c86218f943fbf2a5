"""The latency session and its report by their command lines."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from command_line import Command, check_sentence, contents, in_fork, x86_only
from report_session import session

from bench.engines.engine import Job
from bench.session.location import ThisMachine
from compile.support.outcome import WorkerError


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--against", "tensorrt"), ("'tensorrt'", "litert", "all")),
        (("--schemes", "int4"), ("'int4'", "mixed", "all")),
        (("--threads", "0"), ("threads 0", "between 1 and")),
        (("--threads", "1", "--threads", "999"), ("threads 999", "between 1 and", "cores")),
        (("--seconds", "0"), ("seconds 0", "positive")),
        (("--size", "256"), ("'256'", "HEIGHTxWIDTH")),
        (("--target", "nokia-3310"), ("nokia-3310", "host")),
    ],
)
def test_sessions_that_cannot_be(
    here: Command, out: Path, options: tuple[str, ...], parts: tuple[str, ...]
):
    file = out / "x.json"
    outcome = here("bench/latency", "--out", file, *options)
    assert outcome.code == 2
    sentence = outcome.err.splitlines()[-1]
    assert all(part in sentence for part in parts), sentence
    assert not file.exists()


def test_report_of_no_session(here: Command, out: Path):
    (out / "run.json").write_text("{")
    outcome = here("bench/report", out / "run.json", "-o", out / "report")
    check_sentence(outcome, "run.json", "truncated", "bench/latency.py")
    assert list(contents(out)) == ["run.json"]


def test_a_session_that_measures_nothing(
    here: Command, host: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its rows are kept all the same: they say why."""

    def start(self: ThisMachine, job: Job) -> None:
        raise WorkerError(f"{job.engine} is not installed")

    monkeypatch.setattr(ThisMachine, "start", start)
    file = out / "run.json"
    options = ("--artefact", host, "--schemes", "mixed", "--json", "--out", file)
    outcome = here("bench/latency", *options)
    assert outcome.code == 2 and json.loads(outcome.out) == json.loads(file.read_text())
    sentence = outcome.err.splitlines()[-1]
    assert "error: nothing was measured: tvm mixed: tvm is not installed" in sentence
    assert str(file) in sentence


def test_a_report_takes_no_other_ones_place(
    here: Command, out: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bench.report._FOLDER", out / "report")
    (out / "one.json").write_text(json.dumps(session()))
    for name in ("one", "one-2"):
        outcome = here("bench/report", out / "one.json")
        assert outcome.code == 0, outcome.err
        assert Path(outcome.out.strip()) == out / "report" / name / "report.html"
    assert len(list((out / "report").iterdir())) == 2


@x86_only
@pytest.mark.slow
def test_a_session_and_its_report(tmp_path: Path):
    """On any machine and under any load: nothing is asked of the times but that they are there."""
    file = tmp_path / "run.json"
    options = ("--against", "litert,pytorch", "--schemes", "mixed,fp32", "--seconds", "0.5")
    outcome = in_fork("bench/latency", "--out", file, "--json", *options)
    assert outcome.code == 0, outcome.err
    run = json.loads(outcome.out)
    assert run == json.loads(file.read_text())
    named = [(row["engine"], row["scheme"]) for row in run["rows"]]
    assert named == [
        *(("tvm", "mixed"), ("tvm", "fp32"), ("litert", "mixed"), ("litert", "fp32")),
        ("pytorch", "fp32"),
    ]
    for row, sample in zip(run["rows"], run["samples"], strict=True):
        assert 0 < row["min_ms"] <= row["p10_ms"] <= row["p50_ms"] <= row["p90_ms"]
        assert row["frames"] == sum(map(len, sample["seconds"])) > 0
        assert row["psnr_db"] > (80 if row["scheme"] == "fp32" else 40)
        plan = row["planned_activation_mb"]
        assert (0 < plan < 20) if row["engine"] == "tvm" else plan is None
        low, high = row["ratio_interval"]
        assert low <= row["ratio_to_litert_mixed"] <= high
    assert run["rows"][2]["ratio_to_litert_mixed"] == 1
    assert run["environment"]["cores"] == len(os.sched_getaffinity(0))
    report = in_fork("bench/report", file, "-o", tmp_path / "report", "--baseline", file)
    assert report.code == 0, report.err
    page = Path(report.out.strip()).read_text()
    assert "Against the baseline run" in page and "within noise" in page


@x86_only
@pytest.mark.slow
def test_kernels_beside_litert(tmp_path: Path):
    folder, plot = tmp_path / "artefact", tmp_path / "roofline.png"
    size = ("--size", "256x256", "--threads", "1")
    built = in_fork("compile/build", "--target", "host", *size, "--out", folder)
    assert built.code == 0, built.err
    outcome = in_fork("bench/kernel_times", folder, "-n", "2", "--litert", "--plot", plot, "--json")
    assert outcome.code == 0, outcome.err
    run = json.loads(outcome.out)
    kinds = {"1x1 convolution", "3x3 convolution", "depthwise convolution", "means"}
    for times in run["families"].values():
        assert kinds < set(times)
    # We make no concat.
    assert "copies" in run["families"]["litert"] and "copies" not in run["families"]["tvm"]
    ours = sum(call["seconds"] for call in run["calls"])
    assert sum(run["families"]["tvm"].values()) == pytest.approx(ours)
    layers = [layer for call in run["calls"] for layer in call["layers"]]
    assert "net.backbone.decoder.stages.0.0.expand.conv" in layers and "net.head.conv3" in layers
    assert run["network"]["size"] == "256x256" and run["network"]["scheme"] == "mixed"
    assert plot.stat().st_size > 10_000
    table = in_fork("bench/kernel_times", folder, "-n", "1", "--rows", "3")
    assert table.code == 0 and "net.backbone.decoder" in table.out and "GHz" in table.out


def test_kernels_of_no_artefact(here: Command, out: Path):
    check_sentence(here("bench/kernel_times", out / "nowhere"), "nowhere")


def test_plot_that_is_no_picture(here: Command, out: Path):
    outcome = here("bench/kernel_times", out / "nowhere", "--plot", out / "x.xyz")
    check_sentence(outcome, "x.xyz", ".png")
