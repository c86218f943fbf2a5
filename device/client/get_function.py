"""Functions that ``device/serve.py`` offers and other RPC servers do not."""

from __future__ import annotations

from collections.abc import Callable

from tvm.rpc import RPCSession


def offered(session: RPCSession, name: str) -> Callable | None:
    """The device's function called ``name``; None where its server has none."""
    try:
        return session.get_function(name)
    except AttributeError:
        return None
