"""The log of a search: never half written, and of one search."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from compile.precision.candidate import Candidate
from compile.precision.candidate_log import FORMAT, CandidateLog, SearchFacts
from compile.precision.error_sources import ErrorSources, RoundedTensor
from compile.support.errors import MqnetError, OutputError

FACTS = SearchFacts(FORMAT, "abc", "unet", "cortex-a76", "64x64", "ms", "here")
ONE = Candidate(
    number=1,
    name="int8",
    assignment="ii",
    recipe='scheme = "int8"\n',
    db=40.5,
    cost=2.5,
    costs=(1.0, 1.5),
    sources=ErrorSources((0.1, 0.2), (RoundedTensor(0.5, -1, (0, 1)),)),
)


def test_what_was_evaluated_is_there_again(tmp_path: Path):
    path = tmp_path / "recipe.jsonl"
    two = msgspec.structs.replace(ONE, number=2, sources=None, problem="it crashed")
    log = CandidateLog(path, FACTS)
    log.add(ONE)
    log.add(two)
    assert CandidateLog(path, FACTS).candidates == [ONE, two]


def test_half_a_line_is_cut_off(tmp_path: Path):
    path = tmp_path / "recipe.jsonl"
    CandidateLog(path, FACTS).add(ONE)
    whole = path.read_bytes()
    for cut in (1, 40):
        path.write_bytes(whole + whole.splitlines(keepends=True)[1][:-cut])
        assert CandidateLog(path, FACTS).candidates == [ONE]
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("network", "hdrunet", "another network (unet)"),
        ("size", "32x32", "another size (64x64)"),
        ("key", "def", "other weights or photographs"),
        ("format", FORMAT + 1, "another version"),
    ],
)
def test_of_another_search(tmp_path: Path, key: str, value: object, said: str):
    path = tmp_path / "recipe.jsonl"
    CandidateLog(path, FACTS).add(ONE)
    whole = path.read_bytes()
    with pytest.raises(OutputError) as error:
        CandidateLog(path, msgspec.structs.replace(FACTS, **{key: value}))
    assert said in str(error.value) and "recipe.jsonl" in str(error.value)
    assert path.read_bytes() == whole


def test_a_file_that_is_no_log(tmp_path: Path):
    path = tmp_path / "recipe.jsonl"
    path.write_text("{}\n")
    with pytest.raises(OutputError, match="no precisions"):
        CandidateLog(path, FACTS)
    path.write_text("no JSON\n")
    with pytest.raises(MqnetError, match="line 1 is damaged"):
        CandidateLog(path, FACTS)
