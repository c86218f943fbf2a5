"""Panoramas from addresses and from folders: what is taken, and what is refused."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from compile.training.scenes import fetch_file
from compile.training.scenes.catalogue import RepositoryFile, Scene
from compile.training.scenes.fetch import fetch_scenes
from compile.training.scenes.read_hdr import read_panorama
from compile.training.scenes.write_exr import write_exr

LIGHT = np.random.default_rng(0).uniform(0.1, 8, (8, 16, 3)).astype(np.float32)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{{repository}}/{{commit}}/{{path}}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Served as some/repository/0123/maps/a b.exr, and in the folder "given" as room.exr."""
    served = tmp_path / "web/some/repository/0123/maps/a b.exr"
    for path in (served, tmp_path / "given/room.exr"):
        path.parent.mkdir(parents=True)
        write_exr(path, LIGHT)
    sha256 = hashlib.sha256(served.read_bytes()).hexdigest()
    given = hashlib.sha256((tmp_path / "given/room.exr").read_bytes()).hexdigest()
    source = RepositoryFile(
        "some/repository", "0123", "maps/a b.exr", sha256, given, "somebody", "CC0-1.0"
    )
    return Scene("room", source, source.path, "train")


def test_from_its_address(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = replace(scene, name="gone", source=replace(scene.source, path="maps/gone.exr"))
    changed = replace(scene, name="changed", source=replace(scene.source, sha256="0" * 64))
    with serving(tmp_path / "web") as address:
        monkeypatch.setattr(fetch_file, "_ADDRESS", address)
        reasons = dict(fetch_scenes((gone, changed, scene), tmp_path / "out"))
    assert reasons[scene] is None
    assert (
        reasons[gone] == "maps/gone.exr of some/repository 0123 cannot be fetched: File not found"
    )
    assert reasons[changed] is not None and "does not have the sha256" in reasons[changed]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["room.exr"]
    np.testing.assert_array_equal(read_panorama(tmp_path / "out/room.exr"), LIGHT)


def test_without_a_network(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as address:
        pass
    monkeypatch.setattr(fetch_file, "_ADDRESS", address)
    ((_, reason),) = fetch_scenes((scene,), tmp_path / "out")
    assert reason is not None and "cannot be fetched: " in reason and "refused" in reason


def test_from_a_folder(scene: Scene, tmp_path: Path) -> None:
    missing = replace(scene, name="missing", source=replace(scene.source, path="missing"))
    reasons = dict(fetch_scenes((scene, missing), tmp_path / "out", tmp_path / "given"))
    assert reasons == {scene: None, missing: f"{tmp_path / 'given'} holds no missing.exr"}
    np.testing.assert_array_equal(read_panorama(tmp_path / "out/room.exr"), LIGHT)
    write_exr(tmp_path / "given/room.exr", LIGHT + 1)
    ((_, reason),) = fetch_scenes((scene,), tmp_path / "other", tmp_path / "given")
    assert reason is not None and "room.exr does not have the sha256" in reason


def test_what_is_repaired(scene: Scene, tmp_path: Path) -> None:
    light = LIGHT.copy()
    light[2, 3] = -0.5
    write_exr(tmp_path / "given/room.exr", light)
    sha256 = hashlib.sha256((tmp_path / "given/room.exr").read_bytes()).hexdigest()
    source = replace(scene.source, exr_sha256=sha256)
    ((_, reason),) = fetch_scenes((replace(scene, source=source),), tmp_path, tmp_path / "given")
    assert reason is not None and "negative" in reason
    repaired = replace(scene, source=replace(source, repair=True))
    ((_, reason),) = fetch_scenes((repaired,), tmp_path, tmp_path / "given")
    assert reason is None
    np.testing.assert_array_equal(read_panorama(tmp_path / "room.exr"), np.maximum(light, 0))
