"""What `ssh -L` and `ssh -R` do, within one machine: 127.0.0.2 plays the board's own loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

Address = tuple[str, int]


@contextlib.contextmanager
def tunnel(entrance: Address, end: Address) -> Iterator[None]:
    """Whoever connects to ``entrance`` speaks with ``end``, which sees a connection from 127.0.0.1
    as it does from ssh."""
    with socket.create_server(entrance) as listening:
        threading.Thread(target=_accept, args=(listening, end), daemon=True).start()
        yield
        listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, end: Address) -> None:
    with contextlib.suppress(OSError):
        while True:
            near, _ = listening.accept()
            far = socket.create_connection(end, source_address=("127.0.0.1", 0))
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
