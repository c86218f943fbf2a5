"""What the compiler has to be told of a network: the one place where a network and it meet.

A network is a class below :class:`Network` in a file of its own, and a line in
:mod:`compile.networks.registry`. It takes a photograph and gives an image of the same size,
or takes and gives tensors of any kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from compile.imaging.bundled import bundled_photos
from compile.imaging.decode_picture import DECODERS
from compile.imaging.fit_size import padded_size
from compile.imaging.read_photo import read_photo
from compile.networks.export_wrapper import ROOT, ExportWrapper, TensorWrapper
from compile.networks.parts import Parts, parts_by_backbone
from compile.support.errors import MqnetError

Decoding = Literal["extended_srgb", "linear", "srgb"]

Training = Callable[[nn.Module, nn.Module], object]
"""Fine-tunes its first argument in place: the network, as it rounds under the scheme. The second is
the same in float32, to learn from. Both map float32 [N, channels, H, W] in [0, 1] to the module's
output, with batch norms folded."""

_DEFAULT_SIZE = 768, 1280


@dataclass(frozen=True)
class JoinedTensor:
    """A tensor that a concat joins with others, and the convolutions by which it can be scaled.

    Multiplying each channel of the outputs of ``producers`` and dividing the weights of ``readers``
    by the same leaves the network as it is (:mod:`compile.quantize.equalize`).

    Attributes:
        module: whose output it is, float32 [N, C, H, W].
        producers: convolutions whose outputs it is the sum of, or a copy of: linear up to here, or
            with a ReLU between.
        readers: every other convolution that reads it or one of those outputs. It is the first C
            input channels of each, or has the channels of a depthwise one.
        wanted: largest magnitude of what it is joined with.
    """

    module: nn.Module
    producers: tuple[nn.Conv2d, ...]
    readers: tuple[nn.Conv2d, ...]
    wanted: float


@dataclass(frozen=True)
class Network(ABC):
    """A network with its parameters, if it has some: those are a subclass's dataclass fields, and
    text, since a command line names them.

    Attributes:
        name: what a request calls it.
        backbone: path of the module whose activations are int8 under a scheme with two precisions,
            or of several: ``*`` in it is any one name. All the rest of the network is its head,
            which keeps float activations.
        in_float: path of a module, or of several, that is in float under every scheme; "" for none.
        channels: of the photograph: 3 for RGB.
        size_multiple: height and width must be multiples of this.
        least_side: the least height and width.
        decoding: what a picture that it makes means, see
            :mod:`compile.imaging.decode_picture`.
        any_size: whether its graph is the same at every size.
        takes_photographs: whether its only input is a photograph, uint8 [1, H, W, channels] as it
            is compiled; else it takes tensors of fixed shapes.
        makes_pictures: whether its only output is a picture, float32 [1, H, W, C] as it is
            compiled; else it gives tensors.
        input_names, output_names: of the tensors.
        module_path: of the module whose paths a user names, in the one that is exported.
    """

    name: ClassVar[str]
    backbone: ClassVar[str] = "backbone"
    in_float: ClassVar[str] = ""
    channels: ClassVar[int] = 3
    size_multiple: ClassVar[int] = 1
    least_side: ClassVar[int] = 1
    decoding: ClassVar[Decoding] = "linear"
    any_size: ClassVar[bool] = True
    takes_photographs: ClassVar[bool] = True
    makes_pictures: ClassVar[bool] = True
    input_names: ClassVar[tuple[str, ...]] = ("image",)
    output_names: ClassVar[tuple[str, ...]] = ("h",)
    module_path: ClassVar[str] = ROOT

    @abstractmethod
    def weights(self, fine_tuned: bool) -> Path | None:
        """The file of weights that is used where a request names none, or None where the module
        comes with weights; with ``fine_tuned`` of those that were trained under quantization.

        Raises:
            CheckpointError: there are none.
        """

    @abstractmethod
    def load(self, checkpoint: Path | None) -> nn.Module:
        """The module in evaluation mode with the weights of ``checkpoint``, which are checked, or
        with its own.

        It maps float32 [1, channels, H, W] in [0, 1] to float32 [1, C, H, W].

        Raises:
            CheckpointError: the file is missing or damaged, or of another network.
        """

    @abstractmethod
    def architecture(self) -> nn.Module:
        """A new module, whatever its weights: on the device "meta" where that is torch's."""

    def export_wrapper(self, net: nn.Module, dtype: torch.dtype) -> nn.Module:
        """What is exported: ``net``, which computes in ``dtype``, with the conversion of a
        photograph before it and what the caller wants of the result behind it.

        ``net`` must be an attribute :data:`compile.networks.export_wrapper.ROOT` of it.
        """
        if self.makes_pictures:
            return ExportWrapper(net, dtype)
        return TensorWrapper(net, dtype, self.takes_photographs)

    def example_inputs(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Inputs of the exported module: a photograph of a size, uint8
        [1, height, width, channels], or tensors."""
        return (torch.zeros(1, height, width, self.channels, dtype=torch.uint8),)

    def calibration_photos(self) -> Sequence[NDArray[np.uint8]]:
        """Photographs, uint8 [H, W, channels] of any sizes, on which scales of activations are
        chosen."""
        return [read_photo(path) for path in bundled_photos("calibration")]

    def calibration_tensors(self) -> Sequence[tuple[Tensor, ...]]:
        """Inputs on which scales are chosen, of a network that takes no photographs: an example of
        them."""
        return (self.example_inputs(*self.default_size),)

    def joined_tensors(self, _net: nn.Module) -> Sequence[JoinedTensor]:
        """What is scaled before the network, its batch norms folded, is quantized; a tensor comes
        before those that are computed from it."""
        return ()

    @property
    def training(self) -> Training | None:
        """What fine-tunes its weights under quantization as it is built, or None: then those that
        :meth:`weights` names were."""
        return None

    @property
    def known_ranges(self) -> Mapping[str, tuple[float, int]]:
        """Scale and zero point of what arithmetic with constants or a convolution makes, by the
        path of the module in the one that is exported; what is not named is calibrated."""
        return {}

    def parts(self, graph: fx.Graph) -> Parts:
        """Which part of the network each operation of the exported ``graph`` belongs to."""
        in_float = self.in_float and f"{ROOT}.{self.in_float}"
        return parts_by_backbone(graph, self.backbone_path, in_float)

    def explain_parts(self, _graph: fx.Graph) -> None:  # noqa: B027
        """Warn of parts that were not asked for."""

    @property
    def size(self) -> tuple[int, int] | None:
        """The only height and width that it takes; None where it takes many."""
        return None

    @property
    def scheme(self) -> str:
        """The name of the quantization scheme that its weights have already, "" for none."""
        return ""

    @property
    def content(self) -> str:
        """The checksum of files of the user's that it is all made of; "" where it has none, or
        more than are known."""
        return ""

    def explain_calibration(self) -> None:  # noqa: B027
        """Say where scales are chosen on too little; a network with photographs of its own has
        nothing to say."""

    def check_scheme(self, _scheme: str, _calibrates: bool) -> None:  # noqa: B027
        """Raise where it cannot be quantized by the scheme of that name, which ``_calibrates``
        scales of activations.

        Raises:
            MqnetError: it says what to leave out or to add.
        """

    def decode(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """The image that the exported module's ``output`` means, of the same shape."""
        return DECODERS[self.decoding](output)

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters by name."""
        return asdict(self)

    @property
    def title(self) -> str:
        """What a build says that it is of."""
        return self.name

    @property
    def label(self) -> str:
        """What tells it from others in the name of a folder."""
        return "-".join((self.name, *self.parameters.values()))

    @property
    def backbone_path(self) -> str:
        """Path of the backbone in the module that is exported."""
        return f"{ROOT}.{self.backbone}"

    @property
    def default_size(self) -> tuple[int, int]:
        """Height and width of a build that names none."""
        return self.size or self.fitting_size(*_DEFAULT_SIZE)

    def fitting_size(self, height: int, width: int) -> tuple[int, int]:
        """The smallest size that it takes and that holds a photograph of (height, width).

        Raises:
            MqnetError: a side is below ``least_side``.
        """
        if not self.takes_photographs:
            return height, width
        if min(height, width) < self.least_side:
            least = f"{self.least_side}x{self.least_side}"
            raise MqnetError(f"size {height}x{width} is below {least}, the network's smallest")
        return padded_size(height, width, self.size_multiple)

    def check_size(self, height: int, width: int) -> None:
        """Raise where the network does not take the size.

        Raises:
            MqnetError: a side is too small or no multiple of ``size_multiple``.
        """
        if not self.takes_photographs:
            if (height, width) != self.size:
                raise MqnetError(
                    f"network {self.title} takes tensors of its example's shapes: leave the size "
                    "out"
                )
            return
        multiple = self.size_multiple
        if min(height, width) < self.least_side or height % multiple or width % multiple:
            raise MqnetError(
                f"the network cannot be built for {height}x{width}: height and width must be "
                f"multiples of {multiple} and at least {self.least_side}"
            )
