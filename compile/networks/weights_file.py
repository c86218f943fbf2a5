"""Weights of any module from a safetensors file."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from compile.support.errors import CheckpointError


def load_weights(net: nn.Module, path: Path) -> None:
    """Load the file at ``path``, whose tensors are named as the state of ``net``, into it.

    Raises:
        CheckpointError: the file is missing, damaged or no safetensors file, or its names and
            shapes are those of another network.
    """
    try:
        state = load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint {path} does not exist") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"checkpoint {path} is no safetensors file ({error}): write one with safetensors"
        ) from None
    try:
        missing, unexpected = net.load_state_dict(state, strict=False)
    except RuntimeError as error:
        line = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"checkpoint {path} is of another network: {line}") from None
    strangers = [name for name in missing if not name.endswith("num_batches_tracked")]
    if strangers or unexpected:
        what, names = ("lacks", strangers) if strangers else ("has besides", unexpected)
        raise CheckpointError(
            f"checkpoint {path} is of another network: it {what} {', '.join(names[:3])}"
        )
