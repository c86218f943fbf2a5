"""The end of a server, while TVM's thread that serves sessions goes on."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tvm.support.utils import TempDirectory

from device.server import server


@pytest.fixture
def as_before() -> Iterator[None]:
    """Signals and hooks are the process's."""
    numbers, hook = (signal.SIGINT, signal.SIGTERM), threading.excepthook
    handlers = {number: signal.getsignal(number) for number in numbers}
    yield
    threading.excepthook = hook
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("as_before")
def test_session_that_ends_by_itself_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """It removes its folder in the middle of the server's removing all of them."""
    sessions = [TempDirectory() for _ in range(3)]
    folders = [Path(session.temp_dir) for session in sessions]
    real = shutil.rmtree

    def remove(folder: str, ignore_errors: bool) -> None:
        real(folder, ignore_errors=ignore_errors)
        while sessions:
            sessions.pop().remove()

    monkeypatch.setattr(server.shutil, "rmtree", remove)
    server._leave_nothing()
    assert not any(folder.exists() for folder in folders)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


@pytest.mark.usefixtures("as_before")
def test_thread_has_no_last_words(capfd: pytest.CaptureFixture) -> None:
    """As at a session that was killed with the server."""
    server._leave_nothing()
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    assert capfd.readouterr() == ("", "")
