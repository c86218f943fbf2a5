"""The memory plan of a build in a report, and what is measured of its calls in its graph."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from command_line import REPOSITORY
from report_session import session

from bench.page.call_facts import call_facts
from bench.page.drawing import ALERT, chart_style
from bench.page.plan_chart import peak_of, plan_chart, plan_facts, planned_bytes
from bench.page.write_report import write_report
from bench.profiling.kernel_call import KernelCall
from bench.profiling.kernels_file import BuiltNetwork, KernelsFile, MachineLimits
from bench.session.run_file import RunFile
from compile.artefact.manifest import LIBRARY, CallSummary, FileFacts, PlannedTensor
from compile.artefact.reader import read_manifest
from compile.support.errors import MqnetError
from device.client.layers.layer_report import Layer, LayerReport, OwnAndAccumulated
from device.client.layers.tensor_errors import TensorErrors

OLD = REPOSITORY / "tests/compile/artefact/manifests/fp32.json"
CALLS = tuple(CallSummary(name, (f"net.{name}",)) for name in ("first", "second", "third"))
# In storage 0: 4 MB during the calls 0 and 1, and 2 MB during call 2.
TENSORS = (
    PlannedTensor((9_000_000,), "uint8", -1, (0,)),
    PlannedTensor((4_000_000,), "int8", 0, (1,), 0),
    PlannedTensor((250_000,), "float32", 1, (2,), 1),
    PlannedTensor((500_000,), "float32", 2, (), 0),
    PlannedTensor((250_000,), "float32", 2),
)
BUILD = msgspec.structs.replace(
    read_manifest(OLD), calls=CALLS, tensors=TENSORS, kernels=(), files={LIBRARY: FileFacts("ab")}
)
KERNELS = KernelsFile(
    network=BuiltNetwork("mixed", "64x64", "host", "ab"),
    calls=tuple(
        KernelCall(call.kernel, "", "record", 1000, call.layers, (), "4 int8", 8, seconds)
        for call, seconds in zip(CALLS, (0.001, 0.002, 0.001), strict=True)
    ),
    families={"tvm": {"elementwise": 0.004}},
    machine=MachineLimits(2e9, 1e10, {"int8": 1e11, "fp32": 2.5e10}),
    environment={"cpu": "Some CPU <b>", "commit": "1234567"},
)
ERRORS = TensorErrors(30.0, 31.0, 0.5, 1.0)
LAYERS = LayerReport(
    "here",
    "mixed",
    (
        Layer("q", ("net",), ()),
        Layer("r", ("net",), (), 1, "second", lowered=OwnAndAccumulated(ERRORS, ERRORS), share=0.5),
    ),
)


def test_the_peak_is_where_most_is_alive() -> None:
    assert peak_of(BUILD) == (1, 5_000_000)
    assert planned_bytes(BUILD) == 6_000_000
    assert plan_facts(BUILD) == ("4 tensors of together 8 MB lie in 3 places of together 6 MB.")


def test_a_bar_is_a_tensor_from_its_call_to_its_last_reader() -> None:
    with chart_style():
        (panel,) = plan_chart(BUILD).axes
    bars = [bar.patches[0] for bar in panel.containers]
    found = [(bar.get_x(), bar.get_width(), bar.get_y(), bar.get_height()) for bar in bars]
    assert found == [(0, 2, 0, 4), (2, 1, 0, 2), (1, 2, 4, 1), (2, 1, 5, 1)]
    (peak,) = [one for one in panel.patches if one.get_facecolor()[:3] == _rgb(ALERT)]
    assert (peak.get_x(), peak.get_width()) == (1, 1)


def test_the_page_has_the_plan_and_the_graph_what_was_measured(tmp_path: Path) -> None:
    plain = session()
    plain.pop("format")
    run = msgspec.convert(plain | {"rows": plain["rows"][:1]}, RunFile)
    page = write_report(run, None, tmp_path, build=BUILD, kernels=KERNELS, layers=LAYERS)
    text = page.read_text()
    assert "The memory plan" in text and "in 3 places of together 6 MB" in text
    assert "peak, call 1: 5 MB alive" in (tmp_path / "plan.svg").read_text()
    graph, _ = json.loads((tmp_path / "graph.json").read_text())["graphs"]
    node = next(one for one in graph["nodes"] if one["label"] == "second")
    facts = {one["key"]: one["value"] for one in node["attrs"]}
    assert facts["ms"] == "2.0000" and facts["share of time"] == "50.00%"
    assert facts["SQNR, own"] == "30.0 dB" and facts["share of error"] == "50.00%"


def test_measurements_of_another_build_are_refused() -> None:
    other = msgspec.structs.replace(BUILD, files={LIBRARY: FileFacts("cd")})
    with pytest.raises(MqnetError, match=r"another build.*kernel_times"):
        call_facts(other, KERNELS, None)
    other = msgspec.structs.replace(BUILD, calls=CALLS[::-1][:2])
    with pytest.raises(MqnetError, match=r"another build.*--layers"):
        call_facts(msgspec.structs.replace(other, calls=CALLS[2:]), None, LAYERS)


def _rgb(color: str) -> tuple[float, ...]:
    return tuple(int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
