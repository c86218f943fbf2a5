"""Offers this machine to a TVM tracker, for `bench/latency.py --tracker` on another computer.

Runs on a board, from a checkout of this repository, with nothing installed but what
`device/server/` names.
"""

from __future__ import annotations

import argparse
import ipaddress
import socket
import sys
from pathlib import Path

# A board runs this file from a checkout, in which nothing is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import compile.support.early_interruption  # noqa: E402, F401

from compile.support.errors import MqnetError, TargetError  # noqa: E402
from compile.support.quick_start import import_tvm_alone  # noqa: E402
from compile.support.standard_streams import steady_streams  # noqa: E402
from device.server.tracker import tracker_address  # noqa: E402

_USER_ERROR, _INTERRUPTED = 2, 130
_DESCRIPTION = """\
Offer this machine to a TVM tracker under a key, until Ctrl-C.

WARNING: TVM's RPC executes whatever it is sent, with the rights of this process: whoever reaches
the port owns the account. There is no password and nothing is encrypted. It belongs on a trusted
network or, better, in a tunnel; so it takes connections from this machine only, unless --host
says otherwise.
"""
_EPILOG = """\
through an ssh tunnel, nothing open to any network (on the computer that measures):
  python -m tvm.exec.rpc_tracker --host 127.0.0.1 --port 9190
  ssh -R 9190:127.0.0.1:9190 -L 9090:127.0.0.1:9090 BOARD
and in that ssh session, on the board:
  python device/serve.py --tracker 127.0.0.1:9190 --key my-board

through USB, to a Linux on an Android phone that has Python:
  adb reverse tcp:9190 tcp:9190
  adb forward tcp:9090 tcp:9090

on a trusted network, without a tunnel (BOARD's own address there):
  python device/serve.py --tracker COMPUTER:9190 --key my-board --host BOARD
"""


def parser() -> argparse.ArgumentParser:
    """Describe the options. Of the standard library alone, since a board has no more."""
    parser = argparse.ArgumentParser(
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tracker", required=True, metavar="HOST:PORT", help="the TVM tracker")
    parser.add_argument("--key", required=True, help="name that the tracker knows this machine by")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address of this machine to take connections at (default: %(default)s)",
    )
    parser.add_argument("--port", type=int, default=9090, help="port there (default: %(default)s)")
    return parser


def main() -> None:
    """Entry point of `mqnet-serve` and of `python device/serve.py`."""
    # Whoever reads what a board prints may stop, and the board goes on.
    with steady_streams() as out:
        try:
            options = parser().parse_args()
        except SystemExit as end:  # --help, or an option that is unknown.
            sys.exit(end.code or out.loss()[0])
        _serve_as_told(options)


def _serve_as_told(options: argparse.Namespace) -> None:
    try:
        check_key(options.key)
        tracker = tracker_address(options.tracker)
        check_reachable(options.host, tracker[0])
        _serve(tracker, options.key, options.host, options.port)
    except MqnetError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(_USER_ERROR)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    sys.exit(_INTERRUPTED)


def _serve(tracker: tuple[str, int], key: str, host: str, port: int) -> None:
    try:
        # Not before the options are known to be good: it takes seconds.
        import_tvm_alone()
        from device.server.server import serve_until_stopped
    except ModuleNotFoundError as error:
        raise TargetError(
            f"{error.name} is not installed for {sys.executable}: install what docs/devices.md "
            "names for a board"
        ) from None
    serve_until_stopped(tracker, key, host, port)


def check_key(key: str) -> None:
    """Raise where clients could not ask for ``key``: TVM's protocol ends it at the first space.

    Raises:
        TargetError: so.
    """
    if not key or any(character.isspace() for character in key):
        raise TargetError(f"key {key!r} has to be one word, such as my-board")


def check_reachable(host: str, tracker_host: str) -> None:
    """Raise where the tracker would send clients to a port that is open to this machine only.

    Raises:
        TargetError: so, or a host that is no address.
    """
    if _is_loopback(host) and not _is_loopback(tracker_host):
        raise TargetError(
            f"tracker {tracker_host} is another machine and --host {host} takes connections from "
            "this one only: bring the tracker here by ssh -R (see --help), or give --host this "
            "machine's own address on a trusted network"
        )


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError as error:
        raise TargetError(f"host {host!r} is not known here: {error.strerror}") from None
    return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)


if __name__ == "__main__":
    main()
