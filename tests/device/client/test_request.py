"""A session by way of a tracker: of a device that is there, in use, unknown, or out of reach."""

from __future__ import annotations

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from fixtures_device import Served, free_port
from tvm.rpc import base

from compile.support.errors import TargetError
from device.client import request
from device.client.address import DeviceAddress
from device.client.request import count_devices, request_device


def test_a_key_that_is_not_known(board: Served):
    address = DeviceAddress(board.address.host, board.address.port, "rpi5")
    with pytest.raises(TargetError, match=r"no device of key 'rpi5' .*'board'.*serve\.py --key"):
        request_device(address)


def test_a_device_that_stays_in_use(board: Served):
    session = request_device(board.address)
    with pytest.raises(TargetError, match="in use for 0.5 s"):
        request_device(board.address, wait_seconds=0.5)
    del session


def test_twenty_at_once(board: Served):
    """Each of them is served, one after the other."""
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: echo(board.address), range(20)))
    assert answers == [board.address.key] * 20


def echo(address: DeviceAddress) -> str:
    return request_device(address).get_function("testing.echo")(address.key)


def test_a_board_that_strangers_are_connected_to(board: Served):
    """They say nothing, or what is no handshake, and stay."""
    with contextlib.ExitStack() as stack:
        for said in (b"", bytes.fromhex("ffffff7f")) * 10:
            there = socket.create_connection(("127.0.0.1", board.port))
            stack.enter_context(there).sendall(said)
        assert echo(board.address) == board.address.key
    assert board.becomes_free()


def test_a_tracker_takes_what_is_no_message(tracker: tuple[str, int], board: Served):
    for said in ("ffffff7f", "71f20200ffffff7f"):
        with socket.create_connection(tracker) as connection:
            connection.sendall(bytes.fromhex(said))
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(100):
                    pass
    assert count_devices(board.address) == 1


def test_a_tracker_that_stays_silent(monkeypatch: pytest.MonkeyPatch):
    """As one that was stopped: its port still takes connections."""
    monkeypatch.setattr(request, "_SECONDS_OF_CALLS", (0.1, 0.1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = DeviceAddress(*silent.getsockname(), "x")
        for ask in (count_devices, request_device):
            with pytest.raises(TargetError, match=r"went away \(timed out\): start it again"):
                ask(address)


def test_a_tracker_that_hears_the_second_call(monkeypatch: pytest.MonkeyPatch):
    """As one at whose door too many wait: the first call gets no answer."""
    monkeypatch.setattr(request, "_SECONDS_OF_CALLS", (0.1, 20.0))
    with socket.create_server(("127.0.0.1", 0)) as door, ThreadPoolExecutor(1) as pool:
        counted = pool.submit(count_devices, DeviceAddress(*door.getsockname(), "pi"))
        unheard, _ = door.accept()
        heard, _ = door.accept()
        with unheard, heard:
            heard.sendall(base.recvall(heard, 4))
            assert base.recvjson(heard) == [base.TrackerCode.SUMMARY]
            known = {"server_info": [{"key": "server:pi"}], "queue_info": {}}
            base.sendjson(heard, [base.TrackerCode.SUCCESS, known])
            assert counted.result() == 1


@pytest.mark.parametrize("answer", [{}, [], None, [0], [0, {}], [0, {"server_info": [{}]}], 7])
def test_a_tracker_that_answers_something_else(answer: object):
    with socket.create_server(("127.0.0.1", 0)) as door, ThreadPoolExecutor(1) as pool:
        counted = pool.submit(count_devices, DeviceAddress(*door.getsockname(), "pi"))
        other, _ = door.accept()
        with other:
            other.sendall(base.recvall(other, 4))
            base.recvjson(other)
            base.sendjson(other, answer)
            with pytest.raises(TargetError, match="no tracker of this TVM"):
                counted.result()


def test_a_device_that_is_registered_and_cannot_be_reached(
    tracker: tuple[str, int], monkeypatch: pytest.MonkeyPatch
):
    """As one behind a tunnel that is missing."""
    monkeypatch.setattr(request, "_SECONDS_TO_TRY_AGAIN", 0.1)
    with base.connect_with_retry(tracker) as connection:
        connection.sendall(base.RPC_TRACKER_MAGIC.to_bytes(4, "little"))
        base.recvall(connection, 4)
        there = ("127.0.0.1", free_port())
        for message in (
            [base.TrackerCode.UPDATE_INFO, {"key": "server:far", "addr": there}],
            [base.TrackerCode.PUT, "far", (there[1], "far:0.5"), there[0]],
        ):
            base.sendjson(connection, message)
            assert base.recvjson(connection) == base.TrackerCode.SUCCESS
        with pytest.raises(TargetError, match="'far'.*cannot be reached.*open the tunnel"):
            request_device(DeviceAddress(*tracker, "far"))
