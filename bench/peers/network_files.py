"""Other engines' files of any network but MQNet: made where they are needed, below build/peers."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import nn

from compile.networks.network import Network
from compile.support.atomic import write_atomically
from compile.support.errors import MqnetError

_WEIGHTS = "weights.sha256"


def files_of(network: Network) -> Path:
    """Folder of the files of ``network``."""
    return Path("build/peers") / network.label


def note_weights(network: Network, net: nn.Module) -> None:
    """Note that the files of ``network`` are of the weights of ``net``, its module."""
    write_atomically(files_of(network) / _WEIGHTS, f"{_checksum(net)}\n".encode())


def check_weights(network: Network, net: nn.Module) -> Path:
    """Folder of the files of ``network``, which are of the weights of ``net``.

    Raises:
        MqnetError: there are none, or they are of other weights.
    """
    folder = files_of(network)
    remedy = f"make peers NETWORK={network.name}"
    try:
        noted = (folder / _WEIGHTS).read_text().strip()
    except OSError:
        raise MqnetError(
            f"{folder} holds no files of network {network.title} for other engines: make them with "
            f"`{remedy}`, or leave those engines out"
        ) from None
    if noted != _checksum(net):
        raise MqnetError(f"{folder} holds files of other weights: make them again with `{remedy}`")
    return folder


def _checksum(net: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
