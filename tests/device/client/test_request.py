"""A session by way of a tracker: of a device that is there, in use, unknown, or out of reach."""

from __future__ import annotations

import pytest
from fixtures_device import Served, free_port
from tvm.rpc import base

from compile.support.errors import TargetError
from device.client.address import DeviceAddress
from device.client.request import request_device


def test_a_key_that_is_not_known(board: Served):
    address = DeviceAddress(board.address.host, board.address.port, "rpi5")
    with pytest.raises(TargetError, match=r"no device of key 'rpi5' .*'board'.*serve\.py --key"):
        request_device(address)


def test_a_device_that_stays_in_use(board: Served):
    session = request_device(board.address)
    with pytest.raises(TargetError, match="in use for 0.5 s"):
        request_device(board.address, wait_seconds=0.5)
    del session


def test_a_device_that_is_registered_and_cannot_be_reached(tracker: tuple[str, int]):
    """As one behind a tunnel that is missing."""
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
