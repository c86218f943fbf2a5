"""The networks that can be compiled, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from compile.networks.files.file_network import FILE_SUFFIXES, FileNetwork, is_network_file
from compile.networks.mqnet.entry import MQNetEntry
from compile.networks.network import Network
from compile.networks.sourced_network import SourcedNetwork
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
            f"FILE.py:FUNCTION or a file ({', '.join(FILE_SUFFIXES)})"
        )
    return NETWORKS[name](**parameters)


def built_network(title: str, parameters: Mapping[str, str]) -> Network:
    """The network that a manifest names by its ``title`` and ``parameters``.

    Raises:
        MqnetError: there is none of that name, or a parameter has no such value.
    """
    # A user may call a file as a network that there is.
    if "source" in parameters:
        is_file = is_network_file(parameters["source"])
        return FileNetwork(**parameters) if is_file else UserNetwork(**parameters)
    return network_named(title, **parameters)


def find_network(text: str, given: Mapping[str, str | None]) -> Network:
    """The network that a user asks for: a name, a file, or a file and a function, as
    my_net.py:build.

    ``given`` are its parameters, None where the user has named none.

    Raises:
        MqnetError: there is none, or it has no parameter of one of those names.
    """
    parameters = {name: value for name, value in given.items() if value is not None}
    kind = NETWORKS.get(text) or _own_kind(text)
    known = fields(kind or Network)
    for name in parameters:
        if kind is not None and name not in {field.name for field in known}:
            raise MqnetError(f"network {text} has no {name}: leave --{name} out")
    if kind is not None and issubclass(kind, SourcedNetwork):
        return kind(source=text, **parameters)
    return network_named(text, **parameters)


def _own_kind(text: str) -> type[SourcedNetwork] | None:
    """What a user's own network is that they ask for by ``text``; None where that names none."""
    if is_network_file(text):
        return FileNetwork
    return UserNetwork if ".py" in text else None
