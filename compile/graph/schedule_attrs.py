"""How a kernel got its loops, written on the kernel."""

from __future__ import annotations

from tvm import tirx

#: TVM's own mark of a kernel that no later pass may schedule.
_SCHEDULED_ATTR = "tirx.is_scheduled"

#: PrimFunc attribute: where the schedule came from.
_ORIGIN_ATTR = "mqnet.schedule"

BUILT_IN, RECORD = "built-in", "record"


def mark_scheduled(function: tirx.PrimFunc, origin: str) -> tirx.PrimFunc:
    """``function`` with its final loops, which came from ``origin``."""
    return function.with_attr(_SCHEDULED_ATTR, True).with_attr(_ORIGIN_ATTR, origin)


def is_scheduled(function: tirx.PrimFunc) -> bool:
    """Whether ``function`` has its final loops."""
    return bool((function.attrs or {}).get(_SCHEDULED_ATTR))


def schedule_origin(function: tirx.PrimFunc) -> str:
    """:data:`BUILT_IN` or :data:`RECORD`."""
    return str(function.attrs[_ORIGIN_ATTR])
