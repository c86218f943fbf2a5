"""Our build without TVM, as a session times it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from fixtures_artefacts import ArtefactFactory

from bench.engines.engine import Job
from bench.engines.tvm_artefact import TvmArtefact
from bench.engines.tvm_standalone import TvmStandalone
from bench.measure_latency import LatencyRequest, choose_networks
from compile.support.errors import MqnetError


def test_it_gives_what_tvm_gives(artefact: ArtefactFactory) -> None:
    built = artefact(standalone=True)
    job = Job("tvm-standalone", "mixed", built.size, 1, built.library.parent)
    frame = (np.random.default_rng(7).integers(0, 256, (1, *built.size, 3), dtype=np.uint8),)
    outputs = []
    for engine in (TvmArtefact(), TvmStandalone()):
        engine.load(job)
        engine.set_inputs(frame)
        engine.run()
        engine.run()
        outputs.append(engine.outputs()[0].copy())
    np.testing.assert_array_equal(*outputs)
    assert engine.version == built.manifest.versions["apache-tvm"]


def test_more_threads_than_the_build_has(artefact: ArtefactFactory) -> None:
    built = artefact(standalone=True)
    threads = max(built.manifest.threads, len(os.sched_getaffinity(0))) + 1
    with pytest.raises(MqnetError, match="cannot be opened with .* threads"):
        TvmStandalone().load(
            Job("tvm-standalone", "mixed", built.size, threads, built.library.parent)
        )


def test_it_is_of_processors(tmp_path: Path) -> None:
    request = LatencyRequest(
        "linux-mali", (), (), (1,), "tvm-standalone", "mixed", 1.0, None, tmp_path / "run.json"
    )
    with pytest.raises(MqnetError, match="tvm-standalone"):
        choose_networks(request)
