"""The door of a board: tells a tracker that it is free, and lets in the client that the tracker
sends.

TVM's own listening loop reads from one connection at a time and waits for it without an end, so
that whoever connects and says nothing, as a port scanner does, keeps the board from all others;
bytes that are no handshake end it. Here every connection has its own few seconds.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tvm.rpc import base
from tvm.rpc.base import TrackerCode

_MAGIC = struct.pack("<i", base.RPC_MAGIC)
# A client says who it is as soon as it is connected.
_SECONDS_TO_SAY = 10.0
_MOST_GREETINGS, _BACKLOG = 64, 128
# TVM's keys have some ten characters, with a time limit behind them.
_LONGEST_KEY = 1024
# How often the tracker is asked; a key that was given away and not used for so long is replaced.
_SECONDS_TO_PING, _SECONDS_TO_USE_KEY = 2.0, 6.0
_SECONDS_OF_TRACKER = 5.0
# A client that is gone without a word, as with its network, is found out within 90 seconds.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 6}


@dataclass(frozen=True)
class Client:
    """A client that was let in.

    Attributes:
        connection: to it, where TVM's protocol goes on.
        address: host and port, for the log.
        most_seconds: after which its session ends; None: never.
    """

    connection: socket.socket
    address: Any
    most_seconds: float | None


@dataclass
class _Greeting:
    """A connection that has not said yet who it is: what has come, and how long it may take."""

    connection: socket.socket
    address: Any
    until: float
    said: bytearray = field(default_factory=bytearray)

    def missing(self) -> int:
        """How many bytes are to come, as far as they can be known; ValueError: no handshake."""
        if not _MAGIC.startswith(self.said[:4]):
            raise ValueError("no handshake of TVM's RPC")
        if len(self.said) < 8:
            return 8 - len(self.said)
        (length,) = struct.unpack("<i", self.said[4:8])
        if not 0 < length <= _LONGEST_KEY:
            raise ValueError("no key of TVM's RPC")
        return 8 + length - len(self.said)

    def words(self) -> list[str]:
        """The client's key and its options; ValueError: it has no key."""
        words = self.said[8:].decode().split()
        if not words:
            raise ValueError("no key")
        return words


class Listener:
    """Takes connections at ``port`` of ``host``, and is known to ``tracker`` by ``key``.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(self, tracker: tuple[str, int], key: str, host: str, port: int) -> None:
        self._tracker_address, self._key, self._port = tracker, key, port
        self._tracker: socket.socket | None = None
        self._match_key, self._given_away = "", 0.0
        self._trouble = ""
        self._greetings: dict[int, _Greeting] = {}
        self._selector = selectors.DefaultSelector()
        self._socket = socket.socket(base.get_addr_family((host, port)), socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(_BACKLOG)
        except (OSError, OverflowError):
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self._selector.register(self._socket, selectors.EVENT_READ)

    def next_client(self) -> Client:
        """Wait for the client that the tracker sends, whatever else connects meanwhile."""
        self._with_tracker(self._offer)
        asked = time.monotonic()
        while True:
            for event, _ in self._selector.select(_SECONDS_TO_PING):
                if event.fileobj is self._socket:
                    self._accept()
                    continue
                greeting = self._greetings.get(event.fd)
                client = None if greeting is None else self._listen_to(greeting)
                if client is not None:
                    return client
            now = time.monotonic()
            for greeting in [one for one in self._greetings.values() if one.until < now]:
                self._end(greeting)
            if now - asked >= _SECONDS_TO_PING:
                self._with_tracker(self._keep_offering)
                asked = now

    def close(self) -> None:
        """Leave the tracker and the port."""
        for greeting in list(self._greetings.values()):
            self._end(greeting)
        self._selector.close()
        self._socket.close()
        if self._tracker is not None:
            self._tracker.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # It has gone again.
            connection, address = self._socket.accept()
            connection.setblocking(False)
            if len(self._greetings) >= _MOST_GREETINGS:
                self._end(min(self._greetings.values(), key=lambda one: one.until))
            until = time.monotonic() + _SECONDS_TO_SAY
            self._greetings[connection.fileno()] = _Greeting(connection, address, until)
            self._selector.register(connection, selectors.EVENT_READ)

    def _listen_to(self, greeting: _Greeting) -> Client | None:
        """The client, once it has said all of its handshake and has the key."""
        try:
            # No byte more: what follows is for the session.
            said = greeting.connection.recv(greeting.missing())
            greeting.said += said
            if said and greeting.missing():
                return None
            words = greeting.words()
        except BlockingIOError:
            return None
        except (OSError, ValueError):
            self._end(greeting)
            return None
        connection = greeting.connection
        self._forget(greeting)
        try:
            connection.setblocking(True)
            if not said or words[0] != f"client:{self._match_key}":
                connection.sendall(struct.pack("<i", base.RPC_CODE_MISMATCH))
                raise ValueError("no client of ours")
            most_seconds = [float(w[9:]) for w in words if w.startswith("-timeout=")]
            server_key = f"server:{self._key}".encode()
            code = struct.pack("<ii", base.RPC_CODE_SUCCESS, len(server_key))
            connection.sendall(code + server_key)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, seconds in _KEEPALIVE.items():
                connection.setsockopt(socket.IPPROTO_TCP, option, seconds)
        except (OSError, ValueError):
            connection.close()
            return None
        self._match_key = ""
        return Client(connection, greeting.address, most_seconds[0] if most_seconds else None)

    def _forget(self, greeting: _Greeting) -> None:
        self._selector.unregister(greeting.connection)
        del self._greetings[greeting.connection.fileno()]

    def _end(self, greeting: _Greeting) -> None:
        self._forget(greeting)
        greeting.connection.close()

    def _with_tracker(self, do: Callable[[], None]) -> None:
        """Run ``do`` with a connection to the tracker; where it is lost, the next one is made when
        the tracker is asked again."""
        try:
            if self._tracker is None:
                self._tracker = socket.create_connection(self._tracker_address, _SECONDS_OF_TRACKER)
                self._tracker.sendall(struct.pack("<i", base.RPC_TRACKER_MAGIC))
                base.recvall(self._tracker, 4)
                place = {"key": f"server:{self._key}", "addr": (None, self._port)}
                self._ask([TrackerCode.UPDATE_INFO, place])
                self._offer()
                self._say("")
            else:
                do()
        except (OSError, ValueError) as error:
            if self._tracker is not None:
                self._tracker.close()
            self._tracker = None
            self._say("{}:{}".format(*self._tracker_address) + f" does not answer ({error})")

    def _say(self, trouble: str) -> None:
        """Say once that the tracker is gone, and once that it is back."""
        if bool(trouble) != bool(self._trouble):
            said = f"the tracker at {trouble}: asking again" if trouble else "the tracker is back"
            print(f"{self._key}: {said}", file=sys.stderr, flush=True)
        self._trouble = trouble

    def _ask(self, message: list[Any]) -> Any:
        assert self._tracker is not None
        base.sendjson(self._tracker, message)
        return base.recvjson(self._tracker)

    def _offer(self) -> None:
        """Tell the tracker that the board is free, by a key that is used once."""
        self._match_key, self._given_away = base.random_key(self._key), 0.0
        self._ask([TrackerCode.PUT, self._key, (self._port, self._match_key), None])

    def _keep_offering(self) -> None:
        """Another key, where the tracker has given the last one away and nobody came with it."""
        if self._match_key in self._ask([TrackerCode.GET_PENDING_MATCHKEYS]):
            self._given_away = 0.0
            return
        self._given_away = self._given_away or time.monotonic()
        if time.monotonic() - self._given_away > _SECONDS_TO_USE_KEY:
            self._offer()
