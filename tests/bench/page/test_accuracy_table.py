"""The part of a report that says where the accuracy goes: its figures, and files that are none."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_session import session

from bench.page.accuracy_table import accuracy_table, details_table
from bench.page.write_report import write_report
from bench.session.run_file import read_run
from compile.support.errors import MqnetError
from device.client.layers.layer_report import Layer, LayerReport, OwnAndAccumulated, read_layers
from device.client.layers.tensor_errors import compare_tensors

WANTED = np.array([1.0, 2.0, 3.0])
SAME, NEAR = (compare_tensors(WANTED + off, WANTED) for off in (0, 0.1))
ERRORS = OwnAndAccumulated(SAME, NEAR)
REPORT = LayerReport(
    "this machine",
    "int8",
    (
        Layer("q", ("net", "net.<conv>"), ("net.<conv>",), 0, "conv", saturated=0.25, share=0.75,
              quantized=ERRORS, compiled=ERRORS, lowered=ERRORS),
        Layer("", (), ("net.norm",), 1, "sums"),
        Layer("r", ("net.norm",), (), share=-0.05, quantized=ERRORS),
    ),
)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "layers.json").write_text(json.dumps(REPORT.as_json(), allow_nan=False))
    return tmp_path / "layers.json"


def test_the_table(file: Path):
    """A call that makes no tensor has no line."""
    both = "= / 26.7"
    lines = accuracy_table(read_layers(file)).to_dict("split")["data"]
    assert lines == [
        ["net.<conv>", "conv", both, both, both, "25.00%", "75.0%"],
        ["net.norm", "", both, "", "", "", "-5.0%"],
    ]


def test_the_page(file: Path, tmp_path: Path):
    (tmp_path / "run.json").write_text(json.dumps(session()))
    run = read_run(tmp_path / "run.json")
    page = write_report(run, None, tmp_path / "report", layers=read_layers(file))
    text = page.read_text()
    assert "Where the accuracy goes" in text and "net.<wbr>&lt;conv&gt;" in text
    assert "net.norm" in page.with_name("error-shares.svg").read_text()
    rows = pd.read_csv(StringIO(page.with_name("accuracy.csv").read_text()))
    assert rows["layer"].tolist() == ["net.<conv>", "net.norm"]
    without = write_report(run, None, tmp_path / "other").read_text()
    assert "Where the accuracy goes" not in without


def test_the_file_is_read_as_it_was_measured(file: Path):
    """Also what nothing differs in, which JSON has no number for."""
    assert read_layers(file) == REPORT


def test_the_details(file: Path):
    (line,) = details_table(read_layers(file)).to_dict("records")
    assert (line["layer"], line["tensor"]) == ("net.<conv>", "q")
    assert (line["PSNR dB"], line["largest"]) == ("26.0", "0.1") and float(line["cosine"]) < 1


def test_two_tensors_of_one_module_are_told_apart(file: Path):
    two = (Layer("add", ("net",), ()), Layer("sigmoid", ("net",), ()), Layer("", (), ("net",)))
    assert LayerReport("here", "int8", two).names == ["net: add", "net: sigmoid", "net"]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"format": 1}'])
def test_files_that_are_none(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "layers.json").write_text(content)
    with pytest.raises(MqnetError, match=r"layers\.json .*check.py --layers --json"):
        read_layers(tmp_path / "layers.json")
