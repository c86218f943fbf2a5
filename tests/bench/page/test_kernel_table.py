"""The part of a report that says where the time goes: its figures, and files that are none."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from msgspec.structs import replace
from report_session import session

from bench.page.write_report import write_report
from bench.profiling.kernel_call import KernelCall
from bench.profiling.kernels_file import BuiltNetwork, KernelsFile, MachineLimits, read_kernels
from bench.session.run_file import RunFile, read_run
from compile.support.errors import MqnetError

CALLS = (
    KernelCall(
        *("conv2d", "packed_conv", "built-in", 2_000_000, ("net.stem.conv",)),
        *(("64x64x3", "3x3x3x16"), "32x32x16 int8", 40_000, 0.0001),
    ),
    KernelCall("add", "elementwise", "record", 0, ("net.0",), ("8x8x4",), "8x8x4 int8", 768, 5e-5),
    KernelCall(
        *("conv2d_rows", "pointwise", "built-in", 500_000, ("net.norm<1>", "net.conv")),
        *(("64x64x12",), "64x64x6 float32", 100_000, 0.00005),
    ),
)
KERNELS = KernelsFile(
    network=BuiltNetwork("mixed", "64x64", "host", "0123456789abcdef01"),
    calls=CALLS,
    families={
        "tvm": {"3x3 convolution": 0.0001, "1x1 convolution": 0.00005, "elementwise": 5e-5},
        "litert": {"3x3 convolution": 0.0003, "copies": 0.0001},
    },
    machine=MachineLimits(2e9, 1e10, {"int8": 1e11, "fp32": 2.5e10}),
    environment={"cpu": "Some CPU <b>", "commit": "1234567"},
)


def changed(name: str, value: object = None) -> str:
    """The file with another ``value`` of the first call, or without it."""
    file = json.loads(KERNELS.as_json())
    del file["calls"][0][name]
    file["calls"][0] |= {} if value is None else {name: value}
    return json.dumps(file)


@pytest.fixture
def run(tmp_path: Path) -> RunFile:
    (tmp_path / "run.json").write_text(json.dumps(session()))
    return read_run(tmp_path / "run.json")


def test_the_file_is_read_as_it_was_written(tmp_path: Path):
    (tmp_path / "kernels.json").write_text(KERNELS.as_json())
    assert read_kernels(tmp_path / "kernels.json") == KERNELS


def test_every_figure_of_the_page_is_of_the_file(run: RunFile, tmp_path: Path):
    page = write_report(run, None, tmp_path / "report", KERNELS).read_text()
    *_, kinds, layers = pd.read_html(StringIO(page), keep_default_na=False)
    assert "mixed at 64x64 for target host" in page and "0.2 ms in" in page
    assert len(layers) == len(CALLS)
    for text, call in zip(layers.astype(str).to_numpy(), CALLS, strict=True):
        line = dict(zip(layers.columns, text, strict=True))
        assert line["layer"] == ", ".join(call.layers)
        assert (line["kernel"], line["writes"]) == (call.name, call.output)
        assert float(line["ms"]) == pytest.approx(call.seconds * 1e3, abs=5e-4)
        assert float(line["MB moved"]) == pytest.approx(call.moved_bytes / 1e6, abs=5e-3)
    assert list(layers["share"]) == ["50.0%", "25.0%", "25.0%"]
    assert list(layers["GMAC/s"].astype(str)) == ["20.0", "", "10.0"]
    assert list(layers["of peak"]) == ["20%", "", "10%"]
    table = kinds.set_index("kind").astype(float)
    assert table.loc["3x3 convolution"].to_dict() == {"tvm": 0.1, "litert": 0.3}
    assert table.loc["copies"].to_dict() == {"tvm": 0.0, "litert": 0.1}
    assert table.loc["all"].to_dict() == {"tvm": 0.2, "litert": 0.4}
    assert "norm&lt;1&gt;" in page


def test_parts_are_beside_the_page(run: RunFile, tmp_path: Path):
    write_report(run, None, tmp_path / "report", KERNELS)
    table = pd.read_csv(tmp_path / "report" / "kernels.csv", keep_default_na=False)
    assert list(table["layer"]) == ["net.stem.conv", "net.0", "net.norm<1>, net.conv"]
    assert "packed_conv" in (tmp_path / "report" / "roofline.svg").read_text()


def test_no_roofline_where_nothing_multiplies(run: RunFile, tmp_path: Path):
    moved = replace(KERNELS, calls=CALLS[1:2])
    page = write_report(run, None, tmp_path / "report", moved).read_text()
    assert "8x8x4" in page and "Roofline" not in page
    assert not (tmp_path / "report" / "roofline.svg").exists()


def test_kernels_of_another_machine(run: RunFile, tmp_path: Path):
    other = replace(KERNELS, environment={"cpu": "Another CPU", "commit": "1234567"})
    with pytest.raises(MqnetError, match="on 'Another CPU' and the session on 'Some CPU <b>'"):
        write_report(run, None, tmp_path / "report", other)
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"kernels\.json cannot be read \(No such file"),
        (KERNELS.as_json()[:-30], "truncated or not JSON"),
        ("[1, 2]", "it says no format"),
        ('{"format": 0}', "is of format 0, from an older"),
        ('{"format": 1, "calls": 3}', r"damaged at calls \(expected `array`"),
        (changed("seconds", "fast"), r"damaged at calls\[0\]\.seconds \(expected `float`"),
        (changed("seconds", 0), r"damaged at calls\[0\]\.seconds"),
        (json.dumps(json.loads(KERNELS.as_json()) | {"calls": []}), r"damaged at calls \(expected"),
        (changed("name"), r"damaged at calls\[0\] \(object missing required field `name`"),
    ],
)
def test_files_that_are_no_kernels(tmp_path: Path, content: str | None, message: str):
    path = tmp_path / "kernels.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(MqnetError, match=rf"{message}.*kernel_times\.py --json"):
        read_kernels(path)
