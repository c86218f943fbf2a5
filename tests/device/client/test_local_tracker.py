"""A tracker that ends with those who need it, and needs no PyTorch."""

from __future__ import annotations

import socket

import psutil
import pytest
from fixtures_device import free_port
from tvm import rpc

from compile.support.outcome import WorkerError
from device.client.local_tracker import local_tracker


def test_it_answers_as_long_as_it_is_needed() -> None:
    with local_tracker(free_port()) as port:
        assert rpc.connect_tracker("127.0.0.1", port).summary()["queue_info"] == {}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_port_that_is_taken_is_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with local_tracker(number) as port:
            assert port != number
            assert rpc.connect_tracker("127.0.0.1", port).summary()["server_info"] == []


def test_one_that_does_not_start() -> None:
    before = psutil.Process().children()
    with pytest.raises(WorkerError, match="cannot bind to any port"), local_tracker(65535):
        pass
    assert psutil.Process().children() == before
