"""The one way to a device: what a session keeps, what it loses, and how it says so."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Timer

import device_tasks
import pytest
from fixtures_device import Served

from compile.support.errors import TargetError
from compile.support.outcome import NoAnswer, WorkerError
from device.client import device_session
from device.client.address import DeviceAddress, device_address
from device.client.device_session import LOST, DeviceSession


@pytest.fixture
def session(board: Served) -> Iterator[DeviceSession]:
    """As measuring has it: one session and no other."""
    with closing(DeviceSession(board.address, 1)) as session:
        yield session


@pytest.fixture
def reopening(board: Served) -> Iterator[DeviceSession]:
    """As tuning has it: opened anew now and then."""
    with closing(DeviceSession(board.address, 1, most_seconds=60.0)) as session:
        yield session


def test_it_opens_with_the_first_task(session: DeviceSession, board: Served) -> None:
    assert session.facts == {}
    assert session.run(device_tasks.machine).get() == os.uname().machine
    assert session.facts["emulated"] == "" and session.facts["cores"] >= 1
    assert [session.run(device_tasks.count).get() for _ in range(3)] == [1, 2, 3]
    data = b"some bytes"
    name = f"{hashlib.sha256(data).hexdigest()}.bin"
    assert session.run(device_tasks.files, data).get() == (name, data)
    (process,) = board.sessions()
    assert os.listdir(process.cwd()) == []


@pytest.mark.parametrize(
    ("task", "error"),
    [
        (device_tasks.fail_there, "failed on the device: "),
        (device_tasks.unknown_function, "not served by device/serve.py"),
    ],
)
def test_a_task_that_fails_costs_no_session(
    session: DeviceSession, task: Callable[..., None], error: str
) -> None:
    assert session.run(device_tasks.count).get() == 1
    outcome = session.run(task)
    assert error in outcome.error and not outcome.crashed
    with pytest.raises(WorkerError, match=error):
        outcome.get()
    assert session.run(device_tasks.count).get() == 2 and not session.gone


def test_what_is_lost_stays_lost(session: DeviceSession, board: Served) -> None:
    session.open().get()
    board.sessions()[0].send_signal(signal.SIGSEGV)
    outcome = session.run(device_tasks.fail_there)
    assert outcome.error == session.gone == LOST and outcome.crashed
    with pytest.raises(NoAnswer, match="the device went away"):
        session.run(device_tasks.machine).get()


def test_what_is_lost_is_opened_anew(reopening: DeviceSession, board: Served) -> None:
    assert reopening.run(device_tasks.count).get() == 1
    board.sessions()[0].send_signal(signal.SIGSEGV)
    assert reopening.run(device_tasks.fail_there).error == LOST
    assert [reopening.run(device_tasks.count).get() for _ in range(2)] == [1, 2]


def test_a_task_that_hangs(reopening: DeviceSession) -> None:
    assert reopening.run(device_tasks.count).get() == 1
    outcome = reopening.run(device_tasks.hang, seconds=1)
    assert outcome.crashed and outcome.error == "no end within 1 s"
    assert reopening.run(device_tasks.count).get() == 1


def test_a_board_that_is_stopped_and_continued(session: DeviceSession, board: Served) -> None:
    session.open().get()
    with board.stopped():
        Timer(1.0, board.send, [signal.SIGCONT]).start()
        assert session.run(device_tasks.files, b"some bytes").get()[1] == b"some bytes"
    assert session.gone == ""


def test_a_board_that_is_stopped_before_it_is_asked(
    session: DeviceSession, board: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is registered and free, its port takes connections, and it says nothing."""
    monkeypatch.setattr(device_session, "_SECONDS_TO_WAIT", 0.0)
    monkeypatch.setattr(device_session, "_SECONDS_TO_OPEN", 2.0)
    assert board.becomes_free()
    with board.stopped():
        outcome = session.open()
        assert outcome.crashed and outcome.error == session.gone
        assert "'board' of tracker" in outcome.error
        assert "does not answer (no end within 2 s): see whether it is stopped" in outcome.error


def test_a_closed_session_is_not_opened_again(session: DeviceSession, board: Served) -> None:
    session.open().get()
    session.close()
    assert board.becomes_free()
    with pytest.raises(RuntimeError, match="is closed"):
        session.run(device_tasks.machine)


def test_a_device_that_is_not_there(board: Served) -> None:
    address = DeviceAddress(board.address.host, board.address.port, "nobody")
    with closing(DeviceSession(address, 1)) as session:
        outcome = session.run(device_tasks.machine)
        assert outcome.crashed and "no device of key 'nobody'" in outcome.error


def test_addresses(board: Served) -> None:
    assert device_address(None, None) is None
    tracker = f"{board.address.host}:{board.address.port}"
    assert device_address(tracker, "board") == board.address
    with pytest.raises(TargetError, match="not HOST:PORT"):
        device_address("9190", "board")
