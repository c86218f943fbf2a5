"""LiteRT's GPU accelerator as a peer: on a driver of Vulkan that a processor plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import pytest
from fixtures_device import Served

from bench.engines.engine import Job
from bench.session.device import Device
from bench.session.environment import describe_environment
from bench.session.interleave import measure
from bench.session.rows import make_rows
from bench.session.worker import Worker
from compile.imaging.bundled import bundled_photos
from compile.imaging.fit_size import fit_photo
from compile.imaging.read_photo import read_photo
from compile.support.frame import frame_of
from compile.support.outcome import WorkerError
from device.runtime.gpu_name import SOFTWARE_WARNING

SIZE = (256, 256)
PHOTO, _ = fit_photo(read_photo(bundled_photos("test")[0]), *SIZE, "resize")


def jobs(scheme: str) -> list[Job]:
    return [Job(engine, scheme, SIZE, 1) for engine in ("litert-gpu", "litert")]


@pytest.mark.slow
def test_its_row_carries_the_warning(software_vulkan: str) -> None:
    (job, _), reference = jobs("fp32"), np.zeros((*SIZE, 3), np.float32)
    results = measure([job], [frame_of(PHOTO)], [frame_of(reference)], 0.1, lambda _: None, None)
    (row,) = make_rows(results, describe_environment())
    assert row.p50_ms > 0 and SOFTWARE_WARNING in row.flags
    assert software_vulkan in row.version


def test_no_gpu_is_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VK_DRIVER_FILES", "/no/driver.json")
    sentence = "LiteRT does not run litert-fp32-.* on a GPU here: .*: install Vulkan's loader"
    with pytest.raises(WorkerError, match=sentence):
        Worker(jobs("fp32")[0], [0])


@pytest.fixture
def vulkan_board(
    software_vulkan: str, serve: Callable[..., AbstractContextManager[Served]]
) -> Iterator[Served]:
    with serve("vulkan-board") as served:
        yield served


@pytest.mark.slow
def test_on_a_device(vulkan_board: Served) -> None:
    """The same file on its processor and its GPU, in one session."""
    device = Device(vulkan_board.address, 1)
    try:
        engines = [device.start(job) for job in jobs("fp32")]
        outputs = [engine.outputs(frame_of(PHOTO))[0][0] for engine in engines]
        wall, _ = engines[0].time_frames(1)
        assert SOFTWARE_WARNING in engines[0].version
        assert len(wall) == 1 and wall[0] > 0
    finally:
        device.close()
    np.testing.assert_allclose(*outputs, atol=1e-4)


def test_a_device_without_one(
    serve: Callable[..., AbstractContextManager[Served]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VK_DRIVER_FILES", "/no/driver.json")
    with serve("no-gpu-board") as served:
        device = Device(served.address, 1)
        try:
            with pytest.raises(WorkerError, match="does not run gpu-litert-fp32-.* on a GPU here"):
                device.start(jobs("fp32")[0])
            # And the session goes on.
            assert device.start(jobs("fp32")[1]).outputs(frame_of(PHOTO))[0][0].shape == (*SIZE, 3)
        finally:
            device.close()
