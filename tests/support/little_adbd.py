"""Plays the phone's half of adb's protocol for a real `adb`, over TCP, with a network of its own.

Started as a program with the serial number of a phone that `stand_in/adb` plays: that one runs what
`adb shell` is told, so every figure is EMULATED. Prints the port that `adb connect` takes. The
protocol is in `protocol.txt` and `SYNC.TXT` of adb's sources.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import queue
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_VERSION, _MOST_BYTES = 0x01000001, 1 << 18
_BANNER = b"device::ro.product.model=EMULATED phone;features=shell_v2,cmd\0"
_STDOUT, _STDERR, _EXIT = 1, 2, 3
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_GET_FLAGS, _SET_FLAGS, _IS_UP = 0x8913, 0x8914, 1


class Stream:
    """One of the streams that share a connection."""

    def __init__(self, link: Link, own: int, theirs: int) -> None:
        self.link, self.own, self.theirs = link, own, theirs
        self.came: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        # Each piece is acknowledged before the next one goes.
        self.may_write = threading.Semaphore(1 if theirs else 0)
        self.is_open = True
        self._rest = b""

    def read_some(self) -> bytes:
        """Some bytes; none where the other side has closed it."""
        found, self._rest = self._rest or self.came.get(), b""
        return found

    def read(self, count: int) -> bytes:
        """So many bytes."""
        found = b""
        while len(found) < count:
            piece = self.read_some()
            if not piece:
                raise EOFError
            found += piece
        self._rest = found[count:]
        return found[:count]

    def write(self, data: bytes) -> None:
        """Send ``data``, unless the other side has closed it."""
        for at in range(0, len(data), _MOST_BYTES):
            self.may_write.acquire()
            if self.is_open:
                self.link.send(b"WRTE", self.own, self.theirs, data[at : at + _MOST_BYTES])

    def close(self) -> None:
        """Let the other side know that no more comes."""
        if self.is_open:
            self.is_open = False
            self.link.send(b"CLSE", self.own, self.theirs)

    def end(self) -> None:
        """The other side has closed it: wake whoever waits."""
        self.is_open = False
        self.came.put(b"")
        self.may_write.release()


class Link:
    """A connection of adb's server, and the streams on it."""

    def __init__(self, connection: socket.socket, serial: str, root: Path) -> None:
        self._connection, self._serial, self._root = connection, serial, root
        self._lock = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._count = 0
        self._listeners: dict[str, socket.socket] = {}

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        """Send one message."""
        number = int.from_bytes(command, "little")
        head = struct.pack("<6I", number, first, second, len(data), sum(data), number ^ 0xFFFFFFFF)
        with self._lock, suppress(OSError):
            self._connection.sendall(head + data)

    def serve(self) -> None:
        """Answer messages until the connection ends."""
        with self._connection, self._connection.makefile("rb") as came:
            while len(head := came.read(24)) == 24:
                command, first, second, size = struct.unpack("<4s3I", head[:16])
                self._answer(command, first, second, came.read(size))
        for stream in list(self._streams.values()):
            stream.end()
        for there in list(self._listeners):
            self._end_listener(there)

    def _answer(self, command: bytes, theirs: int, own: int, data: bytes) -> None:
        if command == b"CNXN":
            return self.send(b"CNXN", _VERSION, _MOST_BYTES, _BANNER)
        if command == b"OPEN":
            stream = self._add(theirs)
            threading.Thread(target=self._open, args=(stream, data.rstrip(b"\0").decode())).start()
        elif own in self._streams:
            stream = self._streams[own]
            if command == b"OKAY":
                stream.theirs = theirs
                stream.may_write.release()
            elif command == b"WRTE":
                stream.came.put(data)
                self.send(b"OKAY", own, theirs)
            elif command == b"CLSE":
                del self._streams[own]
                stream.end()

    def _add(self, theirs: int) -> Stream:
        self._count += 1
        self._streams[self._count] = Stream(self, self._count, theirs)
        return self._streams[self._count]

    def _open(self, stream: Stream, service: str) -> None:
        name, _, rest = service.partition(":")
        services: dict[str, Callable[[Stream, str], None]] = {
            "shell": self._shell,
            "sync": self._sync,
            "reverse": self._reverse,
            "tcp": self._connect,
        }
        try:
            with suppress(EOFError, OSError):
                services[name.partition(",")[0]](stream, rest)
        finally:
            stream.close()

    def _shell(self, stream: Stream, script: str) -> None:
        self.send(b"OKAY", stream.own, stream.theirs)
        command = [sys.executable, Path(__file__).with_name("stand_in") / "adb"]
        command += ["-s", self._serial, "shell", "-n", script]
        (out, out_there), (err, err_there) = socket.socketpair(), socket.socketpair()
        with out_there, err_there:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out_there, stderr=err_there
            )

        def copy(kind: int, output: socket.socket) -> None:
            while data := output.recv(1 << 16):
                stream.write(struct.pack("<BI", kind, len(data)) + data)

        def hang_up() -> None:
            while stream.read_some():
                pass  # Nobody reads what is typed.
            for output in (out, err):
                with suppress(OSError):
                    output.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=hang_up, daemon=True).start()
        copies = [
            threading.Thread(target=copy, args=one) for one in ((_STDOUT, out), (_STDERR, err))
        ]
        with out, err:
            for one in copies:
                one.start()
            for one in copies:
                one.join()
        stream.write(struct.pack("<BIB", _EXIT, 1, process.wait() & 0xFF))

    def _sync(self, stream: Stream, _rest: str) -> None:
        self.send(b"OKAY", stream.own, stream.theirs)
        while True:
            request, size = struct.unpack("<4sI", stream.read(8))
            if request == b"QUIT":
                return
            name = stream.read(size).decode()
            if request == b"STAT":
                stream.write(struct.pack("<4s3I", b"STAT", *self._facts(name)))
            elif request == b"SEND":
                path, _, mode = name.rpartition(",")
                self._receive(stream, Path(f"{self._root}{path}"), int(mode))
            else:
                raise AssertionError(request)

    def _facts(self, name: str) -> tuple[int, int, int]:
        path = Path(f"{self._root}{name}")
        if not path.exists():
            return 0, 0, 0
        facts = path.stat()
        return facts.st_mode, facts.st_size, int(facts.st_mtime)

    def _receive(self, stream: Stream, path: Path, mode: int) -> None:
        content = b""
        while True:
            request, size = struct.unpack("<4sI", stream.read(8))
            if request == b"DONE":
                break
            content += stream.read(size)
        if not path.parent.is_dir():
            said = b"couldn't create file: No such file or directory"
            return stream.write(struct.pack("<4sI", b"FAIL", len(said)) + said)
        path.write_bytes(content)
        path.chmod(mode & 0o777)
        stream.write(struct.pack("<4sI", b"OKAY", 0))

    def _reverse(self, stream: Stream, request: str) -> None:
        """forward:THERE;HERE, killforward:THERE or list-forward: the phone's port THERE is the
        computer's HERE."""
        self.send(b"OKAY", stream.own, stream.theirs)
        if request == "list-forward":
            listed = "".join(f"host {there}\n" for there in self._listeners).encode()
            return stream.write(b"%04x" % len(listed) + listed)
        kind, _, ports = request.partition(":")
        there, _, here = ports.partition(";")
        if kind == "killforward":
            self._end_listener(there)
        else:
            port = int(there.removeprefix("tcp:"))
            self._listeners[there] = listener = socket.create_server(("127.0.0.1", port))
            threading.Thread(target=self._accept, args=(listener, here), daemon=True).start()
        stream.write(b"OKAY")

    def _end_listener(self, there: str) -> None:
        with self._listeners.pop(there) as listener:
            listener.shutdown(
                socket.SHUT_RDWR
            )  # Whoever waits in accept() does not hear of close().

    def _accept(self, listener: socket.socket, here: str) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                stream = self._add(0)
                self.send(b"OPEN", stream.own, 0, here.encode() + b"\0")
                threading.Thread(target=_pump, args=(stream, client), daemon=True).start()

    def _connect(self, stream: Stream, port: str) -> None:
        client = socket.create_connection(("127.0.0.1", int(port)))
        self.send(b"OKAY", stream.own, stream.theirs)
        _pump(stream, client)


def _pump(stream: Stream, client: socket.socket) -> None:
    """Join both ways until one side closes."""

    def outwards() -> None:
        with suppress(OSError):
            while data := stream.read_some():
                client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=outwards, daemon=True).start()
    with client, suppress(OSError):
        while data := client.recv(1 << 16):
            stream.write(data)
    stream.close()


def _have_own_network() -> None:
    """Leave the machine's network for an empty one, in which the phone's ports are its own."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK | (_NEW_USER if os.getuid() else 0)):
        raise OSError(ctypes.get_errno(), "no network of its own")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", _IS_UP)
        fcntl.ioctl(any_socket, _SET_FLAGS, request)


def main() -> None:
    (serial,) = sys.argv[1:]
    description = Path(os.environ["STAND_IN_PHONES"]) / f"{serial}.json"
    root = json.loads(description.read_text())["root"]
    listener = socket.create_server(("127.0.0.1", 0))
    _have_own_network()
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        Link(connection, serial, Path(root)).serve()


if __name__ == "__main__":
    main()
