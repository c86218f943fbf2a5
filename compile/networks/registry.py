"""The networks that can be compiled, by name."""

from __future__ import annotations

from compile.networks.mqnet.entry import MQNetEntry
from compile.networks.network import Network
from compile.support.errors import MqnetError

NETWORKS: dict[str, type[Network]] = {entry.name: entry for entry in (MQNetEntry,)}


def network_named(name: str, **parameters: str) -> Network:
    """The network called ``name`` with its ``parameters``.

    Raises:
        MqnetError: there is none, or a parameter has no such value.
    """
    if name not in NETWORKS:
        raise MqnetError(f"unknown network {name!r}: choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name](**parameters)
