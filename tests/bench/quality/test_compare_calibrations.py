"""bench/calibration.py: each way to calibrate, of each network, in one table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from command_line import check_sentence, in_fork
from rich.console import Console

from bench.quality import compare_calibrations
from bench.quality.compare_calibrations import CALIBRATIONS, CalibrationRequest, as_markdown
from compile.networks.registry import find_network
from compile.quantize import quantize
from compile.support.progress import Progress

NET = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1), nn.Sigmoid()
    return nn.Sequential(*layers).eval(), (torch.rand(1, 3, 32, 48),)
"""


def test_every_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network without fine-tuned weights is trained a little, and once."""
    monkeypatch.setattr(quantize, "CROPS", 2)
    chosen = {name: CALIBRATIONS[name] for name in ("histogram", "entropy", "correct_bias")}
    monkeypatch.setattr(compare_calibrations, "CALIBRATIONS", chosen)
    pairs = dict(list(compare_calibrations.held_out_pairs().items())[:2])
    monkeypatch.setattr(compare_calibrations, "held_out_pairs", lambda: pairs)
    (tmp_path / "net.py").write_text(NET)
    network, out = find_network(f"{tmp_path / 'net.py'}:build", {}), tmp_path / "out"
    request = CalibrationRequest([network], ["int8", "mixed-qat"], (32, 48), out)
    rows = compare_calibrations.compare_calibrations(request, Progress(Console(quiet=True)))
    assert [row["calibration"] for row in rows] == [*chosen, "histogram"]
    assert [row["scheme"] for row in rows] == ["int8"] * 3 + ["mixed-qat"]
    assert all(20 < row["least_fp32_psnr_db"] <= row["fp32_psnr_db"] < 100 for row in rows)
    assert len({row["fp32_psnr_db"] for row in rows}) == 4
    assert all(row["held_out"] == 2 and 20 < row["held_out_psnr_db"] < 100 for row in rows)
    assert len(pd.read_csv(out / "calibration.csv")) == len(rows)
    assert (out / "calibration.md").read_text() == as_markdown(rows)


def test_the_table() -> None:
    row = {"network": "a", "scheme": "int8", "held_out_psnr_db": 30.0}
    rows = [row | {"calibration": name, "fp32_psnr_db": db} for name, db in (("x", 40), ("y", 50))]
    rows[1]["held_out_psnr_db"] = 29.0
    rows.append(rows[0] | {"network": "b", "fp32_psnr_db": 60})
    assert as_markdown(rows).splitlines() == [
        "| calibration | a, int8 | b, int8 |",
        "| --- | --- | --- |",
        "| x | 40.0, **30.0** | **60.0**, **30.0** |",
        "| y | **50.0**, 29.0 |  |",
    ]


def test_nothing_to_choose() -> None:
    check_sentence(
        in_fork("bench/calibration", "--schemes", "w8a32"), "w8a32", "no int8 activations"
    )
