"""Whole or not at all: no failure may leave a half-written or a temporary file behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compile.support.atomic import atomic_path, write_atomically
from compile.support.errors import OutputError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_writes_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "manifest.json"
    write_atomically(target, b"one")
    write_atomically(str(target), b"two")
    assert target.read_bytes() == b"two"
    assert names(tmp_path) == ["manifest.json"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path) -> None:
    target, ordinary = tmp_path / "a", tmp_path / "b"
    write_atomically(target, b"")
    ordinary.write_bytes(b"")
    assert target.stat().st_mode == ordinary.stat().st_mode


def test_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    target = tmp_path / "lib.so"
    target.write_bytes(b"old")
    target.chmod(0o751)
    write_atomically(target, b"new")
    assert target.stat().st_mode & 0o777 == 0o751


def test_symbolic_link_is_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "real.exr", tmp_path / "link.exr"
    link.symlink_to(target)
    write_atomically(link, b"light")
    assert link.is_symlink()
    assert target.read_bytes() == b"light"


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys
        from compile.support.atomic import atomic_path
        with atomic_path(sys.argv[1]) as beside:
            beside.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", code, tmp_path / "x.avif"], check=False)
    assert killed.returncode < 0 and len(names(tmp_path)) == 1
    with atomic_path(tmp_path / "other.avif") as beside:
        beside.write_bytes(b"whole")
        write_atomically(tmp_path / "third.avif", b"whole")
        assert beside.exists(), "it is of a process that runs"
    assert names(tmp_path) == ["other.avif", "third.avif"]


def test_a_write_protected_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by ``cp``; a file may be renamed onto it by whoever may write to its folder."""
    target = tmp_path / "kept.avif"
    target.write_bytes(b"old")
    target.chmod(0o444)
    if os.geteuid() == 0:  # Who may write to any.
        monkeypatch.setattr(os, "access", lambda path, mode: path != target)
    with pytest.raises(OutputError, match=r"kept\.avif is write-protected"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old" and names(tmp_path) == ["kept.avif"]


def test_temporary_file_lies_beside_and_keeps_the_ending(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "mqnet.so") as beside:
        assert beside.parent == tmp_path
        assert beside.suffix == ".so"
        assert not (tmp_path / "mqnet.so").exists()
        beside.write_bytes(b"elf")
    assert names(tmp_path) == ["mqnet.so"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_failing_system_call_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, code: int
) -> None:
    target = tmp_path / "out.avif"
    target.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(f"compile.support.atomic.os.{failing}", fail)
    with pytest.raises(OutputError, match=r"out\.avif cannot be written \(.+\); ") as caught:
        write_atomically(target, b"new")
    assert "\n" not in str(caught.value)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["out.avif"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_device_is_reported_and_cleaned_up(tmp_path: Path) -> None:
    expected = pytest.raises(OutputError, match="no space left on device.*free some space")
    with expected, atomic_path(tmp_path / "out.exr") as beside:
        beside.symlink_to("/dev/full")
        beside.write_bytes(b"x" * 10_000)
    assert names(tmp_path) == []
    assert Path("/dev/full").is_char_device()


def test_limit_on_file_size_in_the_middle_of_the_write(tmp_path: Path) -> None:
    """A real short write: the kernel takes 64 KiB of 1 MiB, then refuses."""
    script = (
        "import resource, signal, sys\n"
        "from compile.support.atomic import write_atomically\n"
        "from compile.support.errors import OutputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "try:\n"
        "    write_atomically(sys.argv[1], bytes(1 << 20))\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "out.exr")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        check=True,
    )
    assert "out.exr cannot be written (file too large)" in done.stdout
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OutputError])
def test_any_other_exception_passes_and_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), atomic_path(tmp_path / "out.png") as beside:
        beside.write_bytes(b"half")
        raise error("stop")
    assert names(tmp_path) == []


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no such file or directory.*create the folder first"):
        write_atomically(tmp_path / "nowhere" / "out.png", b"")


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: os.mkfifo(path)])
def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path, make) -> None:
    target = tmp_path / "out.png"
    make(target)
    kind = target.stat().st_mode
    with pytest.raises(OutputError, match="not a regular file"):
        write_atomically(target, b"")
    assert target.stat().st_mode == kind
    assert names(tmp_path) == ["out.png"]
