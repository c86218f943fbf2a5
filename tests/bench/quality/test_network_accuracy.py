"""bench/accuracy.py of any network: dB against its own float32, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from command_line import check_sentence, in_fork
from tflite_cases import write_case

from compile.imaging.bundled import bundled_photos

NET = """
import torch
from torch import nn


def picture():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1), nn.Sigmoid()
    return nn.Sequential(*layers).eval(), (torch.rand(1, 3, 32, 48),)


def vector():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)).eval(), (torch.rand(1, 16),)
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(NET)
    return path


@pytest.mark.parametrize("kind", ["picture", "vector"])
def test_a_network_of_the_users(nets: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    photos = ("--calibrate", bundled_photos("test")[0].parent) if kind == "picture" else ()
    outcome = in_fork(
        *("bench/accuracy", "--network", f"{nets}:{kind}", "--schemes", "fp32", "int8"),
        *("--out", out, "--json", *photos),
    )
    assert outcome.code == 0, outcome
    assert "has no HDR references" in outcome.err
    rows = {(row["engine"], row["scheme"]): row for row in json.loads(outcome.out)}
    assert set(rows) == {(e, s) for e in ("pytorch", "tvm") for s in ("fp32", "int8")}
    assert rows["pytorch", "fp32"]["fp32_psnr_db"] is None
    assert (rows["tvm", "fp32"]["least_fp32_psnr_db"] or 200) > 100
    simulated, compiled = (rows[engine, "int8"]["fp32_psnr_db"] for engine in ("pytorch", "tvm"))
    assert 25 < simulated < 100 and abs(simulated - compiled) < 1
    assert len(pd.read_csv(out / "accuracy.csv")) == 4


def test_a_file_is_measured_by_its_own_scheme(tmp_path: Path) -> None:
    path = write_case("same", tmp_path / "net.tflite")
    outcome = in_fork("bench/accuracy", "--network", path, "--out", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome
    rows = json.loads(outcome.out)
    assert [row["scheme"] for row in rows] == ["int8", "int8"]
    assert rows[0]["least_fp32_psnr_db"] is None


@pytest.mark.parametrize(
    ("network", "option", "value"),
    [("mqnet", "size", "64x64"), ("mqnet", "calibrate", "photos"), ("unet", "strips", "forest-0")],
)
def test_options_of_other_networks(network: str, option: str, value: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = in_fork("bench/accuracy", "--network", network, f"--{option}", value, "--out", out)
    check_sentence(outcome, f"network {network} has no {option} here", f"leave --{option} out")
    assert not out.exists()
