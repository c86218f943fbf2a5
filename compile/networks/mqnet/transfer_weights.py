"""Weights of one attention as the start of training another."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from compile.networks.mqnet.checkpoints import inference_state, load_checkpoint, random_network
from compile.networks.mqnet.network import MQNet
from compile.support.errors import CheckpointError


def transfer_weights(path: Path, attention: str, seed: int) -> MQNet:
    """MQNet with ``attention`` and the weights of the checkpoint at ``path``; the attention's own
    are random (``seed``) where the checkpoint has another one.

    Raises:
        CheckpointError: as :func:`compile.networks.mqnet.checkpoints.load_checkpoint`.
    """
    source = load_checkpoint(path, _attention_of(path))
    if source.attention == attention:
        return source
    net = random_network(attention, seed)
    mine = inference_state(net)
    shared = {name: t for name, t in inference_state(source).items() if name in mine}
    same_shape = {name: t for name, t in shared.items() if t.shape == mine[name].shape}
    net.load_state_dict(same_shape, strict=False)
    return net


def _attention_of(path: Path) -> str:
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {})["attention"]
    except (SafetensorError, OSError, KeyError) as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read as one of MQNet ({error}): give a safetensors file "
            "that compile/train.py has written"
        ) from None
