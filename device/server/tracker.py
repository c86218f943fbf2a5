"""Where a TVM tracker is, and whether one answers there; for both sides of it."""

from __future__ import annotations

import re
import socket
import struct

from compile.support.errors import TargetError

# RPC_TRACKER_MAGIC of tvm.rpc.base, which takes seconds to import.
_MAGIC = struct.pack("<i", 0x2F271)
_SECONDS = 5.0


def tracker_address(text: str) -> tuple[str, int]:
    """(host, port) from "HOST:PORT", of a tracker that answers; the host as the number that did.

    TVM tries only the first address of a name, which may be the one where nothing listens.

    Raises:
        TargetError: it is no such address, nothing answers there, or something that is no tracker.
    """
    match = re.fullmatch(r"(?:\[(?P<v6>[^]]+)\]|(?P<host>[^:]+)):(?P<port>\d{1,5})", text)
    if match is None or not 0 < int(match["port"]) < 1 << 16:
        raise TargetError(f"tracker {text!r} is not HOST:PORT, such as 127.0.0.1:9190")
    address = match["v6"] or match["host"], int(match["port"])
    try:
        with socket.create_connection(address, _SECONDS) as connection:
            connection.sendall(_MAGIC)
            answer = connection.recv(len(_MAGIC))
            host, port = connection.getpeername()[:2]
    except OSError as error:
        # TVM's tracker looks for a free port up to 9199 unless told otherwise.
        ports = f"--port {address[1]} --port-end {address[1] + 1}"
        raise TargetError(
            f"no TVM tracker answers at {text} ({error.strerror or error}): start one there by "
            f"python -m tvm.exec.rpc_tracker --host 127.0.0.1 {ports}, or mend --tracker"
        ) from None
    if answer != _MAGIC:
        raise TargetError(
            f"what answers at {text} is no TVM tracker: mend --tracker (trackers use port 9190 "
            "unless told otherwise, a device's own port is another one)"
        )
    return host, port
