"""Networks of one build that run at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fixtures_artefacts import ArtefactFactory

from device.runtime.networks import Networks
from device.runtime.run_artefact import Session, use_this_thread

needs_cores = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="this process may use one core only"
)


@needs_cores
@pytest.mark.parametrize(
    "threads, photographs, networks", [(2, 1, 1), (2, 2, 2), (2, 9, 2), (1, 9, 1)]
)
def test_how_many(artefact: ArtefactFactory, threads: int, photographs: int, networks: int) -> None:
    sessions = Networks(artefact(), threads, photographs).sessions
    assert len(sessions) == networks
    assert sum(session.threads for session in sessions) == threads


@needs_cores
def test_all_compute_the_same(artefact: ArtefactFactory) -> None:
    """At once, on any core, and beside a network that has all of them."""
    built = artefact()
    alone, networks = Session(built, 2), Networks(built, 2, 9)
    frames = np.random.default_rng(1).integers(0, 256, (9, *built.size, 3), np.uint8)
    with ThreadPoolExecutor(2, initializer=use_this_thread) as threads:
        made = list(threads.map(networks.run, frames))
        assert list(threads.map(os.sched_getaffinity, (0, 0))) == [os.sched_getaffinity(0)] * 2
    for frame, (output, seconds) in zip(frames, made, strict=True):
        np.testing.assert_array_equal(output, alone.run(frame)[0])
        assert seconds > 0
