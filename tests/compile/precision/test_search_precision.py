"""A whole search of a small network, with costs that are the same on every machine."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from searched_network import SEARCHED

from compile.artefact.reader import Artefact
from compile.build_request import BuildRequest
from compile.networks.registry import find_network
from compile.precision import search_precision as searching
from compile.precision.evaluate_candidates import Evaluator
from compile.precision.search_precision import print_result, search_precision
from compile.precision.search_request import SearchRequest, parse_budget
from compile.precision.time_candidates import FrameCost
from compile.quantize.recipe import read_recipe
from compile.support.errors import MqnetError, OutputError
from compile.support.frame import Frame
from targets.load_target import TARGET_FOLDER
from targets.spec import TargetSpec

_PNG = b"\x89PNG"


class Counted:
    """Kernel calls that read or make floats cost three."""

    unit, machine, compares = "calls", "anywhere", True

    def __init__(self, _spec: TargetSpec) -> None:
        self.firsts: list[tuple[str, float]] = []

    def keep_first(self, folder: Path, cost: float) -> None:
        assert (folder / "manifest.json").exists()
        self.firsts.append((folder.name, cost))

    def measure(self, artefact: Artefact, _frame: Frame) -> FrameCost:
        kernels = artefact.manifest.coverage.float_layers
        calls = tuple(
            3.0 if {*call.layers} & {*kernels} else 1.0 for call in artefact.manifest.calls
        )
        return FrameCost(sum(calls), calls)

    def close(self) -> None:
        pass


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchRequest:
    monkeypatch.setattr(searching, "HostMeter", Counted)
    network = find_network(SEARCHED[1], {})
    build = BuildRequest("host", "int8", network, (32, 32), threads=1)
    out = tmp_path / "found" / "recipe.toml"
    return SearchRequest(build, 1.0, "w8a32", 8, True, None, None, out)


def test_search_and_resume(
    request_: SearchRequest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    quiet = Console(quiet=True)
    evaluate, before = Evaluator._measured, []
    monkeypatch.setattr(searching, "why_too_few", lambda rows: f"{rows[0].choices} choices")

    def interrupt(number: int) -> None:
        def interrupted(self: Evaluator, candidate):
            if candidate.number == number:
                raise KeyboardInterrupt
            return evaluate(self, candidate)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Evaluator, "_measured", interrupted)
            search_precision(request_, quiet)

    interrupt(3)
    assert len(request_.log.read_text().splitlines()) == 1 + 2
    assert not request_.out.exists()
    interrupt(4)
    # Not without the three schemes; then as far as it came.
    assert len(list(csv.DictReader(request_.table.open()))) == 3
    assert request_.out.exists() and request_.picture.read_bytes()[:4] == _PNG
    # Once.
    assert [one.message for one in caplog.records if "choices" in one.message] == ["1 choices"]

    def counted(self: Evaluator, candidate):
        before.append(candidate.number)
        return evaluate(self, candidate)

    monkeypatch.setattr(Evaluator, "_measured", counted)
    result = search_precision(request_, quiet)
    assert before == [*range(4, len(result.candidates) + 1)] and before

    by_name = {one.name: one for one in result.candidates}
    assert by_name["int8"].db < by_name["mixed"].db < by_name["w8a32"].db
    assert result.wanted == by_name["w8a32"].db - 1
    assert result.chosen.db >= result.wanted
    assert all(
        one.cost >= result.chosen.cost for one in result.candidates if one.db >= result.wanted
    )
    assert read_recipe(request_.out).rules or result.chosen.name in by_name
    rows = list(csv.DictReader(request_.table.open()))
    assert [row["candidate"] for row in rows if row["chosen"] == "True"] == [
        str(result.chosen.number)
    ]
    assert len(rows) == len(result.candidates) and request_.picture.read_bytes()[:4] == _PNG
    written = json.loads(json.dumps(result.as_json()))
    assert {*written["schemes"]} == {"int8", "mixed", "w8a32"}

    # Another budget finds its candidate in the log.
    before.clear()
    again = search_precision(
        SearchRequest(**{**vars(request_), "budget": 100.0, "trials": len(rows)}), quiet
    )
    assert before == [] and again.chosen.cost <= result.chosen.cost
    said = Console(record=True, width=200, file=io.StringIO())
    print_result(again, request_, said)
    assert f"chosen: candidate {again.chosen.number}" in said.export_text()


@pytest.mark.parametrize("there", ["recipe.toml", "recipe.png"])
def test_nothing_is_lost_that_no_search_has_written(request_: SearchRequest, there: str):
    request_.out.parent.mkdir()
    request_.out.with_name(there).write_text("a recipe by hand, or a photograph")
    with pytest.raises(OutputError, match=f"{there} would be overwritten, and no search"):
        search_precision(request_, Console(quiet=True))
    assert request_.out.with_name(there).read_text().startswith("a recipe by hand")


def test_a_target_file_is_no_output(request_: SearchRequest, tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text((TARGET_FOLDER / "cortex-a76.toml").read_text())
    build = replace(request_.build, target=str(file))
    with pytest.raises(OutputError, match=r"mine\.toml is one of the inputs"):
        search_precision(replace(request_, build=build, out=file), Console(quiet=True))


def test_budgets():
    assert parse_budget("0.2dB") == 0.2 and parse_budget("3 db") == 3 and parse_budget("1") == 1
    for text in ("-1dB", "dB", "0.2 %", "nan", "1e9x"):
        with pytest.raises(MqnetError, match="no number of dB, such as 0.2dB"):
            parse_budget(text)
