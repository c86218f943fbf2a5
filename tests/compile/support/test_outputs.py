"""What a command may write to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compile.support.errors import OutputError
from compile.support.outputs import (
    check_output_files,
    check_output_folder,
    check_replaced_folder,
    check_written_last,
    new_path,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An input."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "input.png"
    path.write_bytes(b"mine")
    return path


@pytest.mark.parametrize("way", ["itself", "link", "hard link", "linked folder", "dots"])
@pytest.mark.parametrize("given", ["file", "folder"])
def test_an_input_is_no_output_by_any_name(file: Path, tmp_path: Path, way: str, given: str):
    other = tmp_path / "other.png"
    if way == "link":
        other.symlink_to(file)
    elif way == "hard link":
        other.hardlink_to(file)
    elif way == "linked folder":
        (tmp_path / "link").symlink_to(file.parent)
        other = tmp_path / "link" / file.name
    elif way == "dots":
        other = file.parent / ".." / "folder" / file.name
    else:
        other = file
    read = file if given == "file" else file.parent
    with pytest.raises(OutputError, match=r"one of the inputs: give the output another name"):
        check_output_files([tmp_path / "new.png", other], [None, read])
    with pytest.raises(OutputError, match=r"one of the inputs"):
        check_output_folder(other.parent, [other.name], [read])


def test_what_is_no_input_is_an_output(file: Path, tmp_path: Path):
    check_output_files([tmp_path / "new.png", file.with_suffix(".avif")], [file])
    # A copy is another file; what is not there is none.
    copy = tmp_path / "copy.png"
    copy.write_bytes(file.read_bytes())
    check_output_files([copy], [file, tmp_path / "missing"])
    check_output_folder(file.parent, ["output.png"], [file])
    check_output_folder(tmp_path / "new", ["input.png"], [file])


def test_a_folder_that_is_read_is_no_output(file: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(file.parent)
    with pytest.raises(OutputError, match="one of the inputs"):
        check_output_folder(tmp_path / "link", ["new.png"], [file.parent])


def test_a_folder_that_is_made_anew_holds_no_input(file: Path, tmp_path: Path):
    check_replaced_folder(tmp_path / "other", [file, None])
    for folder in (file.parent, tmp_path):
        with pytest.raises(OutputError, match=r"input\.png, one of the inputs"):
            check_replaced_folder(folder, [file])


def test_names_of_the_wrong_kind(file: Path):
    with pytest.raises(OutputError, match="is a folder"):
        check_output_files([file.parent])
    with pytest.raises(OutputError, match="is a file"):
        check_output_folder(file)
    with pytest.raises(OutputError, match=r"end its name in \.png"):
        check_output_files([file.with_suffix(".xyz")], endings=(".png",))
    for check in (lambda path: check_output_files([path]), check_output_folder):
        with pytest.raises(OutputError, match="stdout"):
            check(Path("-"))


@pytest.mark.parametrize("protected", ["file", "folder", "folder above"])
def test_what_may_not_be_written_is_said_before_the_work(
    file: Path, monkeypatch: pytest.MonkeyPatch, protected: str
):
    which = file if protected == "file" else file.parent
    output = file.parent / "new" / "x.png" if protected == "folder above" else file
    if protected == "folder":
        output = file.with_suffix(".avif")
    which.chmod(0o444 if protected == "file" else 0o555)
    if os.geteuid() == 0:  # Who may write to any.
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != which)
    said = "write-protected" if protected == "file" else "permission denied"
    with pytest.raises(OutputError, match=rf"{output.name} .*{said}"):
        check_output_files([output])
    with pytest.raises(OutputError, match=said):
        check_output_folder(output.parent, [output.name])
    which.chmod(0o755)


def test_what_is_written_last_can_be(tmp_path: Path):
    own = tmp_path / "build" / "manifest.json"
    check_written_last(tmp_path / "graph.json", [own])
    with pytest.raises(OutputError, match=r"no such folder\): create .*build first"):
        check_written_last(own)
    own.parent.mkdir()
    (tmp_path / "link").symlink_to(own.parent)
    with pytest.raises(OutputError, match="what the command writes there itself"):
        check_written_last(tmp_path / "link" / "manifest.json", [own])


def test_a_new_path_is_nobodys(tmp_path: Path):
    for expected in ("a-b.json", "a-b-2.json", "a-b-3.json"):
        path = new_path(tmp_path, "a/b", ".json")
        assert path == tmp_path / expected
        path.touch()
    assert new_path(tmp_path, "a.b") == tmp_path / "a.b"
