"""Messages of TVM's RPC, put together byte by byte: right ones, and those that no client sends."""

from __future__ import annotations

import socket
import struct

from tvm.rpc import base

BEGIN, CALL, RETURN, EXCEPTION, FIND = 2, 3, 4, 5, 9
CPU = 1
INTEGER, POINTER, DEVICE, TENSOR, TEXT, BYTES, MODULE = 1, 4, 6, 7, 8, 9, 73


def integer(number: int, kind: int = INTEGER) -> bytes:
    """A number, handle or device."""
    return struct.pack("<iq", kind, number)


def blob(data: bytes, kind: int = BYTES) -> bytes:
    """Bytes, or a text."""
    return struct.pack("<iQ", kind, len(data)) + data


def tensor(data: int, shape: tuple[int, ...], device: int = CPU, offset: int = 0) -> bytes:
    """A tensor of float32, as an argument."""
    head = struct.pack("<iQiiiBBH", TENSOR, data, device, 0, len(shape), 2, 32, 1)
    return head + struct.pack(f"<{len(shape)}qQ", *shape, offset)


def packed(*values: bytes) -> bytes:
    """Arguments."""
    return struct.pack("<i", len(values)) + b"".join(values)


def message(code: int, body: bytes) -> bytes:
    """With its length before it."""
    return struct.pack("<Qi", 4 + len(body), code) + body


def begin(version: bytes = b"0.8.0", *values: bytes) -> bytes:
    """The first message of a session."""
    return message(BEGIN, struct.pack("<Q", len(version)) + version + packed(*values))


def find(name: bytes) -> bytes:
    """Ask for a function: the first handle that is given is 1, the second one 2."""
    return message(FIND, packed(blob(name, TEXT)))


def call(handle: int, *values: bytes) -> bytes:
    """Call one."""
    return message(CALL, struct.pack("<Q", handle) + packed(*values))


def load(library: bytes) -> bytes:
    """A session that uploads a library and loads it."""
    loads = find(b"tvm.rpc.server.upload"), find(b"tvm.rpc.server.load_module")
    name = blob(b"a.so", TEXT)
    return begin() + b"".join(loads) + call(1, name, blob(library)) + call(2, name)


class RawClient:
    """A client that says whatever it is told to.

    Args:
        port: of the server on this machine.
        key: that it shows; None: it says nothing.
    """

    def __init__(self, port: int, key: str | None = "client:") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        if key is not None:
            self.say(struct.pack("<ii", base.RPC_MAGIC, len(key)) + key.encode())
            (self.code,) = struct.unpack("<i", self.hear(4))
            if self.code == base.RPC_CODE_SUCCESS:
                self.hear(*struct.unpack("<i", self.hear(4)))

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def hear(self, size: int) -> bytes:
        """Receive so many bytes.

        Raises:
            OSError: the server has closed the connection, or is silent.
        """
        return base.recvall(self.socket, size)

    def answer(self) -> tuple[int, bytes]:
        """The next message's code and the rest of it."""
        (size,) = struct.unpack("<Q", self.hear(8))
        body = self.hear(size)
        return struct.unpack("<i", body[:4])[0], body[4:]

    def ask(self, data: bytes) -> str:
        """Say one message; the sentence by which it is refused, or ""."""
        self.say(data)
        code, body = self.answer()
        return body[16:].decode() if code == EXCEPTION else ""

    def is_ended(self) -> bool:
        """Whether the server closes the connection, soon."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
