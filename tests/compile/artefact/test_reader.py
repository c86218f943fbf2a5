"""Opening a build's folder: whole, damaged, of another version, and not there at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from compile.artefact.manifest import LIBRARY, MANIFEST
from compile.artefact.reader import open_artefact, read_manifest
from compile.artefact.writer import describe_files, staged_artefact, write_manifest
from compile.support.errors import ArtefactError, OutputError

OLD = Path(__file__).parent / "manifests" / "fp32.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build; its library is no library."""
    with staged_artefact(tmp_path / "build") as work:
        (work / LIBRARY).write_bytes(b"library")
        manifest = replace(read_manifest(OLD), files=describe_files(work, [LIBRARY]))
        write_manifest(work, manifest)
    return tmp_path / "build"


def test_a_whole_build(folder: Path) -> None:
    built = open_artefact(folder)
    assert built.library == folder / LIBRARY and built.size == (32, 32)
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST, LIBRARY]


def test_no_build(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=f"{tmp_path} holds no manifest.json: give a folder"):
        open_artefact(tmp_path)


def test_a_library_that_is_missing(folder: Path) -> None:
    (folder / LIBRARY).unlink()
    with pytest.raises(ArtefactError, match=r"mqnet\.so is missing: build it again"):
        open_artefact(folder)


def test_a_library_that_was_changed(folder: Path) -> None:
    (folder / LIBRARY).write_bytes(b"another")
    with pytest.raises(ArtefactError, match=r"mqnet\.so does not have the sha256 that manifest"):
        open_artefact(folder)


def _remove(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest.pop(key)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        *(
            (
                _remove(key),
                f"missing required field `{key}`" if key != "format" else "it says no format",
            )
            for key in json.loads(OLD.read_text())
            if key != "checkpoint"  # A network may bring its weights.
        ),
        (lambda m: m["target"].pop("machine"), "at target .*`machine`"),
        (lambda m: m.update(threads="two"), "at threads .expected `int`, got `str`"),
        (lambda m: m["parts"][0].update(ops=None), r"at parts\[0\]\.ops .*got `null`"),
        (lambda m: m["inputs"][0]["shape"].append("wide"), r"at inputs\[0\]\.shape\[4\] .*`int`"),
        (lambda m: m["parts"][0].update(name="head"), "`parts` has no part `main`"),
        (lambda m: m.update(files={}), r"`files` has no `mqnet\.so`"),
        (
            lambda m: m.update(split={"on_processor": "head", "head_arguments": []}),
            r"`files` has no `head\.so`",
        ),
        (lambda m: m.update(format="two"), "it says no format"),
    ],
)
def test_a_manifest_with_a_wrong_key(
    folder: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match=rf"{MANIFEST} is damaged.*{words}.*build it again"):
        open_artefact(folder)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"[1, 2]", b"null", b"[" * 100_000, b"{}", b'{"format": 4}']
)
def test_no_manifest_at_all(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(ArtefactError, match=rf"{MANIFEST} is (damaged|truncated).*build it again$"):
        open_artefact(folder)


def test_a_manifest_that_ends_too_soon(folder: Path) -> None:
    whole = (folder / MANIFEST).read_bytes()
    for length in range(0, len(whole) - 2, 97):
        (folder / MANIFEST).write_bytes(whole[:length])
        with pytest.raises(ArtefactError, match="is truncated or not JSON: build it again"):
            open_artefact(folder)


@pytest.mark.parametrize(("number", "age"), [(3, "an older"), (5, "a newer")])
def test_another_format(folder: Path, number: int, age: str) -> None:
    """Whatever else it holds: the keys of that format are not known here."""
    (folder / MANIFEST).write_text(json.dumps({"format": number, "built": "for fun"}))
    words = rf"is of format {number}, from {age} version of this project.*format 4: build it again"
    with pytest.raises(ArtefactError, match=words):
        open_artefact(folder)


def test_a_key_that_is_not_known_is_left_alone(folder: Path) -> None:
    """A later version may say more."""
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"weather": "fine"}))
    assert open_artefact(folder).manifest.scheme == "fp32"


def test_a_manifest_that_cannot_be_read(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).mkdir()
    with pytest.raises(ArtefactError, match=rf"{MANIFEST} cannot be read \(.*\): build it again"):
        open_artefact(folder)


def test_a_build_that_fails_leaves_the_older_one(folder: Path) -> None:
    before = (folder / MANIFEST).read_bytes()
    with pytest.raises(RuntimeError), staged_artefact(folder) as work:
        (work / LIBRARY).write_bytes(b"half")
        raise RuntimeError
    assert (folder / MANIFEST).read_bytes() == before and open_artefact(folder)
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST, LIBRARY]


def test_a_build_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), staged_artefact(tmp_path / "new" / "build"):
        raise RuntimeError
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="cannot write to folder"),
        staged_artefact(tmp_path / "file" / "build"),
    ):
        pass
