"""The list of engines: what each says of itself, and that listing them loads none."""

from __future__ import annotations

import subprocess
import sys

import pytest
from command_line import REPOSITORY

from bench.engines.registry import ENGINES, engine_named, is_ours
from compile.quantize.schemes import SCHEMES
from compile.support.errors import MqnetError


def test_every_engine_says_what_it_is():
    for name, engine in ENGINES.items():
        assert engine.name == name and engine.schemes and set(engine.schemes) <= set(SCHEMES)
        engine()  # Nothing is abstract in it any more, and nothing is loaded yet.
    assert [name for name in ENGINES if is_ours(name)] == [
        "tvm",
        "tvm-images",
        "tvm-exact",
        "tvm-standalone",
    ]
    assert {name for name, engine in ENGINES.items() if engine.runs_on_gpu} == {
        "tvm-images",
        "litert-gpu",
    }
    assert len({engine.marker for engine in ENGINES.values()}) == len(ENGINES)
    assert not is_ours("an engine of another day")


def test_an_unknown_engine():
    with pytest.raises(MqnetError, match="unknown engine 'tensorrt': choose of tvm, .*litert"):
        engine_named("tensorrt")


def test_no_runtime_is_imported_before_a_process_is_pinned():
    code = "import sys, bench.session.worker; print(*sys.modules)"
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    runtimes = {"torch", "tvm", "onnxruntime", "openvino", "ai_edge_litert"}
    assert not runtimes & set(loaded.stdout.split())
