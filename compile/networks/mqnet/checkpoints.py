"""Reading MQNet's weights: the bundled ones or a user's checkpoint, checked before they are used.

A checkpoint is a safetensors file (a pickle could run code) with float32 tensors under the names
of :class:`compile.networks.mqnet.network.MQNet`'s state and this metadata: ``architecture`` =
``mqnet``, ``attention`` = ca | csa | sa | none, ``decoding`` = ``extended_srgb``, what its output
means (:mod:`compile.imaging.decode_hdr`), ``training`` = a sentence on how it was trained.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from compile.networks.mqnet.network import MQNet, check_attention
from compile.networks.mqnet.weights_folder import BUNDLED
from compile.support.errors import CheckpointError

ARCHITECTURE = "mqnet"
DECODING = "extended_srgb"
PICKLES = (".pt", ".pth", ".ckpt", ".pkl")


def bundled_weights(attention: str, fine_tuned: bool = False) -> Path:
    """The checkpoint that comes with this package; that of quantization-aware training on request.

    Raises:
        CheckpointError: there is none.
        MqnetError: ``attention`` is unknown.
    """
    check_attention(attention)
    path = BUNDLED / f"{attention}{'-qat' if fine_tuned else ''}.safetensors"
    if not path.exists():
        raise CheckpointError(
            f"no weights of attention {attention!r} that were fine-tuned under quantization are "
            "bundled: give a checkpoint of your own with --checkpoint FILE, or choose scheme mixed"
        )
    return path


def load_checkpoint(path: Path | str | None, attention: str) -> MQNet:
    """MQNet in evaluation mode with the weights of ``path``, or the bundled ones for None.

    Raises:
        CheckpointError: the file is missing, damaged, not safetensors, or holds another
            architecture, attention or meaning of the output.
        MqnetError: ``attention`` is unknown.
    """
    net = MQNet(attention)
    path = bundled_weights(attention) if path is None else Path(path)
    tensors, metadata = _read(path)
    _check_metadata(path, metadata, attention)
    expected = inference_state(net)
    _check_tensors(path, tensors, expected)
    net.load_state_dict(tensors, strict=False)
    return net.eval()


def random_network(attention: str, seed: int) -> MQNet:
    """MQNet in evaluation mode with seeded random weights, for tests and for timing only.

    Raises:
        MqnetError: ``attention`` is unknown.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MQNet(attention).eval()


def save_checkpoint(net: MQNet, path: Path, training: str) -> None:
    """Write the weights that inference needs, float32, with the metadata that loading checks."""
    metadata = {
        "architecture": ARCHITECTURE,
        "attention": net.attention,
        "decoding": DECODING,
        "training": training,
    }
    tensors = {name: tensor.contiguous() for name, tensor in inference_state(net).items()}
    save_file(tensors, path, metadata)


def inference_state(net: MQNet) -> dict[str, Tensor]:
    """The float tensors of the state: everything but BatchNorm's counts of training steps."""
    return {name: t for name, t in net.state_dict().items() if t.is_floating_point()}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise CheckpointError(f"checkpoint {path} {what}: give a safetensors file")
    if path.suffix in PICKLES:
        raise CheckpointError(
            f"checkpoint {path} is a pickle, which could run code: convert it to safetensors"
        )
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read as safetensors ({error}): copy it again"
        ) from error


def _check_metadata(path: Path, metadata: dict[str, str], attention: str) -> None:
    architecture = metadata.get("architecture", "nothing")
    if architecture != ARCHITECTURE:
        raise CheckpointError(
            f"checkpoint {path} names {architecture!r} as its architecture, not {ARCHITECTURE!r}: "
            "give a checkpoint of MQNet"
        )
    if metadata.get("decoding") != DECODING:
        raise CheckpointError(
            f"checkpoint {path} is of a version whose output meant other light: it does not name "
            f"{DECODING!r} as its decoding; train it again"
        )
    found = metadata.get("attention", "nothing")
    if found != attention:
        raise CheckpointError(
            f"checkpoint {path} has attention {found!r}, not {attention!r}: "
            f"build with --attention {found} or give another checkpoint"
        )


def _check_tensors(path: Path, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Raise for the first tensor, by the network's order, that is missing, wrong or too many."""
    remedy = "give a checkpoint of MQNet"
    for name, needed in expected.items():
        tensor = found.get(name)
        if tensor is None:
            raise CheckpointError(f"checkpoint {path} has no tensor {name!r}: {remedy}")
        if tensor.shape != needed.shape or tensor.dtype != needed.dtype:
            raise CheckpointError(
                f"checkpoint {path} has {name!r} as {_kind(tensor)}, not {_kind(needed)}: {remedy}"
            )
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"checkpoint {path} has a value in {name!r} that is not a finite number: "
                "train it again"
            )
    for name in found:
        if name not in expected:
            raise CheckpointError(
                f"checkpoint {path} has a tensor {name!r} that MQNet has not: {remedy}"
            )


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
