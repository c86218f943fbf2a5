"""What a function in a user's own file returns where it says more than a module and its inputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from compile.networks.network import Decoding, Training

NAME_LENGTH = 200
"""The most characters of a tensor's name."""

# Of an entry of a .npz, without its ending: what zip files and NumPy give back as it was.
_FILE_NAME = re.compile(rf"(?!.*\.npy$)[^\0\n\r\ud800-\udfff]{{,{NAME_LENGTH}}}")


@dataclass(frozen=True, eq=False)
class UserModule:
    """A module in evaluation mode, and how it is used.

    One picture, float32 [1, C, H, W] of at most 4 channels, is a photograph unless said otherwise:
    what is compiled takes its bytes, uint8 [1, H, W, C], and the module gets them divided by 255.
    All other inputs are tensors of the shapes and dtypes of the example.

    Attributes:
        module: in evaluation mode.
        example_inputs: what it is called with.
        head: path of the module that keeps float activations under a scheme with two precisions, or
            of several, with commas between; "" for the last convolutions.
        photographs: whether one picture is a photograph; with False it is a tensor.
        mean, std: of each channel: the module gets (photograph / 255 - mean) / std; empty for none.
        decoding: what a picture that it gives means.
        input_names, output_names: in files of tensors; empty for the parameters of the module's
            ``forward``, and for "output", "output_0" and so on, or a dictionary's keys.
        calibration: inputs to choose scales on, each as ``example_inputs``; empty for those alone.
        train: fine-tunes the module under the rounding of the scheme ``mixed-qat``, of photographs;
            None for none.
    """

    module: nn.Module
    example_inputs: tuple[Tensor, ...]
    head: str = ""
    photographs: bool = True
    mean: Sequence[float] = ()
    std: Sequence[float] = ()
    decoding: Decoding = "linear"
    input_names: Sequence[str] = ()
    output_names: Sequence[str] = ()
    calibration: Sequence[tuple[Tensor, ...]] = ()
    train: Training | None = None

    @property
    def takes_photographs(self) -> bool:
        """Whether its only input is a photograph."""
        is_one = len(self.example_inputs) == 1 and is_picture(self.example_inputs[0])
        return is_one and self.photographs


def is_picture(tensor: Tensor) -> bool:
    """Whether ``tensor`` is float32 [1, C, H, W] of at most 4 channels."""
    batch, channels, *rest = (*tensor.shape, 0, 0)[: max(tensor.ndim, 2)]
    return tensor.dtype.is_floating_point and len(rest) == 2 and batch == 1 and channels <= 4


def fits_in_file(name: str) -> bool:
    """Whether a file of tensors takes one called ``name``."""
    return _FILE_NAME.fullmatch(name) is not None
