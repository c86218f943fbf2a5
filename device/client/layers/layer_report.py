"""What was measured of each tensor of a build, as data and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compile.support.json_record import read_record
from device.client.layers.tensor_errors import TensorErrors

#: Raised when a key of the JSON changes its meaning.
FORMAT = 1


@dataclass(frozen=True)
class OwnAndAccumulated:
    """Errors of one tensor.

    Attributes:
        own: of what it is computed by, from exact inputs.
        accumulated: with those of all that is before it.
    """

    own: TensorErrors
    accumulated: TensorErrors

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"own": self.own.as_json(), "accumulated": self.accumulated.as_json()}


@dataclass(frozen=True)
class Layer:
    """A tensor of the network, or a kernel call that makes none.

    Attributes:
        tensor: name of the node of the exported program; "" of none.
        modules: PyTorch modules whose result it is.
        layers: that the call computes.
        place, kernel: of the call that makes it; -1 and "" where it is never in memory.
        shape, dtype: of it in the program; () and "" of none.
        scale, zero_point: of integers.
        saturated: share of the float32 values that lie outside of what the integers can hold.
        share: of the network's error to float32 that is made here, to first order: what each tensor
            adds is followed to the outputs. One that undoes others' is negative.
        quantized: of the fake-quantized network to float32.
        compiled: of the compiled one to float32.
        lowered: of the compiled one to the fake-quantized one.
        differing: of ``lowered``, from exact inputs: the share of values that are not the same.
        steps: by how much at most, of integers.
        is_off: so much that it is no matter of rounding.
    """

    tensor: str
    modules: tuple[str, ...]
    layers: tuple[str, ...]
    place: int = -1
    kernel: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    scale: float | None = None
    zero_point: int | None = None
    saturated: float | None = None
    share: float | None = None
    quantized: OwnAndAccumulated | None = None
    compiled: OwnAndAccumulated | None = None
    lowered: OwnAndAccumulated | None = None
    differing: float | None = None
    steps: int | None = None
    is_off: bool = False

    @property
    def name(self) -> str:
        """The innermost module whose result it is, or which is computed."""
        return (self.modules or self.layers or (self.tensor,))[-1]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        errors = {
            name: None if one is None else one.as_json()
            for name in ("quantized", "compiled", "lowered")
            for one in (getattr(self, name),)
        }
        return {**vars(self), **errors}


@dataclass(frozen=True)
class LayerReport:
    """What came of it.

    Attributes:
        machine: that the build ran on.
        scheme: of the build.
        layers: in the order of computation.
        failed: why the frame did not come to its end; "" if it did.
        kept: folder with the call of ``first_off``; "" where nothing is wrong.
    """

    machine: str
    scheme: str
    layers: tuple[Layer, ...]
    failed: str = ""
    kept: str = ""

    @property
    def first_off(self) -> Layer | None:
        """The first tensor that the build computes wrong from right inputs."""
        return next((layer for layer in self.layers if layer.is_off), None)

    @property
    def worst(self) -> list[Layer]:
        """Where the accuracy goes: tensors by their share of the network's error."""
        shares = [(layer.share, layer) for layer in self.layers]
        known = [(share, layer) for share, layer in shares if share is not None]
        return [layer for _, layer in sorted(known, key=lambda pair: -pair[0])]

    @property
    def names(self) -> list[str]:
        """A name for each of ``layers``: its module's, and the tensor's where a module has more
        than one."""
        tensors = Counter(layer.name for layer in self.layers if layer.tensor)
        return [
            f"{layer.name}: {layer.tensor}"
            if tensors[layer.name] > 1 and layer.tensor
            else layer.name
            for layer in self.layers
        ]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        first = self.first_off
        return {
            "format": FORMAT,
            "machine": self.machine,
            "scheme": self.scheme,
            "failed": self.failed,
            "kept": self.kept,
            "first_off": None if first is None else first.as_json(),
            "layers": [layer.as_json() for layer in self.layers],
        }


def read_layers(path: Path) -> LayerReport:
    """Return what ``compile/check.py --layers --json`` has printed into the file at ``path``.

    Raises:
        MqnetError: it is missing, truncated, of another format, or holds something else.
    """
    remedy = "write it again with compile/check.py --layers --json"
    return read_record(path, LayerReport, FORMAT, remedy, each=TensorErrors.restored)
