"""The networks that can be compiled, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from compile.networks.mqnet.entry import MQNetEntry
from compile.networks.network import Network
from compile.networks.user_network import UserNetwork
from compile.networks.zoo import ZOO
from compile.support.errors import MqnetError

MQNET = MQNetEntry.name
"""The network that is meant where none is named."""

_ENTRIES: tuple[type[Network], ...] = (MQNetEntry, *ZOO)
NETWORKS: dict[str, type[Network]] = {entry.name: entry for entry in _ENTRIES}


def network_named(name: str, **parameters: str) -> Network:
    """The network called ``name`` with its ``parameters``.

    Raises:
        MqnetError: there is none, or a parameter has no such value.
    """
    if name not in NETWORKS:
        raise MqnetError(
            f"unknown network {name!r}: choose one of {', '.join(NETWORKS)}, or give "
            "FILE.py:FUNCTION"
        )
    return NETWORKS[name](**parameters)


def built_network(title: str, parameters: Mapping[str, str]) -> Network:
    """The network that a manifest names by its ``title`` and ``parameters``.

    Raises:
        MqnetError: there is none of that name, or a parameter has no such value.
    """
    # A user may call a file as a network that there is.
    if "source" in parameters:
        return UserNetwork(**parameters)
    return network_named(title, **parameters)


def find_network(text: str, given: Mapping[str, str | None]) -> Network:
    """The network that a user asks for: a name, or a file and a function, as my_net.py:build.

    ``given`` are its parameters, None where the user has named none.

    Raises:
        MqnetError: there is none, or it has no parameter of one of those names.
    """
    parameters = {name: value for name, value in given.items() if value is not None}
    is_file = ".py" in text and text not in NETWORKS
    known = fields(UserNetwork if is_file else NETWORKS.get(text, Network))
    for name in parameters:
        if (is_file or text in NETWORKS) and name not in {field.name for field in known}:
            raise MqnetError(f"network {text} has no {name}: leave --{name} out")
    if is_file:
        return UserNetwork(source=text, **parameters)
    return network_named(text, **parameters)
