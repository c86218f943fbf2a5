"""A client's session: it ends with its client, its time or its crash, and leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.server import session
from device.server.listener import Client


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where sessions have their folders."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = os.getcwd()
    yield tmp_path
    assert os.getcwd() == before and list(tmp_path.iterdir()) == []


def serve(
    monkeypatch: pytest.MonkeyPatch, loop: Callable[..., None], most_seconds: float | None = None
) -> socket.socket:
    """A session whose client says no word, and in which ``loop`` runs; the client's end."""
    near, far = socket.socketpair()
    monkeypatch.setattr(session, "_serve_loop", loop)
    if loop is hang and most_seconds is None:
        near.close()
    session.serve_client(Client(far, ("board", 1), most_seconds))
    assert far.fileno() == -1
    return near


def hang(*_: object) -> None:
    Path("upload").touch()
    time.sleep(600)


def crash(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_client_that_goes_while_something_hangs(
    there: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """The board is free again, without anybody's starting it anew."""
    monkeypatch.setattr(session, "_SECONDS_TO_LEAVE", 0.1)
    serve(monkeypatch, hang)
    assert "its client went away, and what ran there did not end" in capfd.readouterr().err


def test_a_session_whose_time_is_over(
    there: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    with serve(monkeypatch, hang, most_seconds=0.2) as client:
        assert b"0.2 s are over" in client.recv(1000)
    assert "session ended after its 0.2 s" in capfd.readouterr().err


def test_a_session_that_crashes(
    there: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    serve(monkeypatch, crash).close()
    assert "what ran there crashed (SIGKILL)" in capfd.readouterr().err
