"""The quantization schemes that can be had by name.

Data only: :mod:`compile.quantize.quantizer` says what each precision means for an operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal

from compile.support.errors import MqnetError

if TYPE_CHECKING:
    from targets.spec import TargetSpec

SchemeName = Literal["mixed", "mixed-qat", "mixed-fp16", "fp32", "fp16", "w8a32", "w8a16", "int8"]
"""The names of :data:`SCHEMES` as a type, for options of a command line."""

DEFAULT_SCHEME: SchemeName = "mixed"
"""That of a network that is not quantized already, where none is named."""


class Precision(Enum):
    """How a part of the network is computed."""

    FLOAT = "float weights and activations"
    WEIGHT_ONLY_INT8 = "int8 weights, float activations"
    INT8 = "int8 weights and activations"


@dataclass(frozen=True)
class Rule:
    """What precision some operations have, whatever part they are of.

    Attributes:
        modules: path of the modules that they are in or below, in the network, in which ``*`` is
            any one name, or a part of one; "" for all.
        operations: by PyTorch's names, such as "conv2d" or "softmax"; empty for all.
        precision: of them.
    """

    modules: str
    operations: tuple[str, ...]
    precision: Precision


@dataclass(frozen=True)
class KnownRange:
    """What range the result of arithmetic with a constant, or of a convolution, has.

    Attributes:
        module: path in the network of the module that computes it.
        scale, zero_point: real = scale * (q - zero_point).
    """

    module: str
    scale: float
    zero_point: int


CalibrationMethod = Literal["histogram", "percentile", "entropy", "mse"]
"""How the range of a tensor is chosen: by torchao's search for the least squared error; leaving out
a share of the values; by the least divergence of Kullback and Leibler; by all ranges' squared
errors."""


@dataclass(frozen=True)
class Calibration:
    """How scales of activations are chosen, and what is done to weights for them.

    Attributes:
        method: of the ranges.
        percentile: of all values that are within the range, where ``method`` is "percentile".
        equalize: channels of tensors between convolutions are made alike in range.
        correct_bias: what rounding the weights moves a convolution's mean by is taken off its bias.
    """

    method: CalibrationMethod = "histogram"
    percentile: float = 99.999
    equalize: bool = False
    correct_bias: bool = False


@dataclass(frozen=True)
class Scheme:
    """A precision for each part of a network.

    Attributes:
        name: what a user types.
        summary: one line for help texts.
        backbone: precision of the module that the network names as its backbone.
        head: precision of all the rest of it.
        float_dtype: what the float tensors of both parts are held in; sums are float32 always.
        narrow_head: the pictures inside of a float32 head are held in float16
            (:mod:`compile.passes.narrow_head`).
        fine_tuned: the bundled weights to use are those that were fine-tuned under quantization.
        rules: of a recipe; of those that are of an operation the last one holds.
        ranges: of a recipe.
        calibration: of a recipe.
    """

    name: str
    summary: str
    backbone: Precision
    head: Precision
    float_dtype: Literal["float32", "float16"] = "float32"
    narrow_head: bool = False
    fine_tuned: bool = False
    rules: tuple[Rule, ...] = ()
    ranges: tuple[KnownRange, ...] = ()
    calibration: Calibration = Calibration()

    @property
    def precisions(self) -> set[Precision]:
        """Those that operations may have."""
        return {self.backbone, self.head, *(rule.precision for rule in self.rules)}

    @property
    def calibrates(self) -> bool:
        """Whether scales of activations are chosen on photographs."""
        return Precision.INT8 in self.precisions

    def runs_on(self, spec: TargetSpec) -> bool:
        """Whether the machine has the floats that it needs: a GPU may lack those of 16 bits."""
        has_float16 = self.float_dtype == "float16" or self.narrow_head
        return not has_float16 or spec.gpu is None or spec.gpu.fp16


_ALL = (
    Scheme("fp32", "float32 throughout", Precision.FLOAT, Precision.FLOAT),
    Scheme("fp16", "float16 throughout", Precision.FLOAT, Precision.FLOAT, "float16"),
    Scheme(
        "w8a32",
        "int8 weights, float32 activations",
        Precision.WEIGHT_ONLY_INT8,
        Precision.WEIGHT_ONLY_INT8,
    ),
    Scheme(
        "w8a16",
        "int8 weights, float16 activations",
        Precision.WEIGHT_ONLY_INT8,
        Precision.WEIGHT_ONLY_INT8,
        "float16",
    ),
    Scheme("int8", "int8 weights and activations throughout", Precision.INT8, Precision.INT8),
    Scheme(
        "mixed",
        "the paper's: int8 backbone, head with int8 weights and float32 activations",
        Precision.INT8,
        Precision.WEIGHT_ONLY_INT8,
    ),
    Scheme(
        "mixed-fp16",
        "mixed, with float16 between the kernels of the head",
        Precision.INT8,
        Precision.WEIGHT_ONLY_INT8,
        narrow_head=True,
    ),
    Scheme(
        "mixed-qat",
        "mixed, from weights that were fine-tuned under its quantization",
        Precision.INT8,
        Precision.WEIGHT_ONLY_INT8,
        fine_tuned=True,
    ),
)

SCHEMES: dict[str, Scheme] = {scheme.name: scheme for scheme in _ALL}


def scheme_named(name: str) -> Scheme:
    """The scheme called ``name``.

    Raises:
        MqnetError: there is none; the text lists those that there are.
    """
    if name not in SCHEMES:
        raise MqnetError(f"unknown scheme {name!r}: choose one of {', '.join(SCHEMES)}")
    return SCHEMES[name]
