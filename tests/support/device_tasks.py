"""Tasks for a session on a device: well, remembering, failing and hanging."""

from __future__ import annotations

import time

from device.client.connection import Connection


def machine(connection: Connection) -> str:
    return connection.facts["machine"]


def count(connection: Connection) -> int:
    """How often it ran in this session."""
    connection.kept["count"] = connection.kept.get("count", 0) + 1
    return connection.kept["count"]


def fail_there(connection: Connection) -> None:
    connection.rpc.load_module("no-such-library.so")


def unknown_function(connection: Connection) -> None:
    connection.need_function("mqnet.of_tomorrow")


def hang(connection: Connection) -> None:
    time.sleep(600)


def files(connection: Connection, data: bytes) -> tuple[str, bytes]:
    """Name and content of an upload, as the device has it."""
    with connection.uploaded(data, suffix=".bin") as name:
        return name, bytes(connection.rpc.download(name))
