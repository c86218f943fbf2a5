"""A network of the user's own: what a function in a Python file of theirs returns."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compile.networks.call_user_function import call_user_function, split_source
from compile.networks.export_wrapper import ROOT
from compile.networks.network import Decoding, Training
from compile.networks.normalized import Normalized
from compile.networks.sourced_network import SourcedNetwork, folder_photos
from compile.networks.user_module import UserModule
from compile.networks.weights_file import load_weights
from compile.support.errors import MqnetError
from compile.support.frame import frame_size

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UserNetwork(SourcedNetwork):
    """What the function ``source``, as ``my_net.py:build``, returns: ``(module, example_inputs)``
    or a :class:`compile.networks.user_module.UserModule`. The function has no arguments.

    Attributes:
        source: file and function.
        calibrate: folder of photographs to choose scales on; "" for the function's own inputs.
    """

    name: ClassVar[str] = "user"
    any_size: ClassVar[bool] = False

    @property
    def label(self) -> str:
        """The file's name and the function's, unless that is ``build``."""
        path, function = split_source(self.source)
        return path.stem if function == "build" else f"{path.stem}-{function}"

    @property
    def title(self) -> str:
        """The file and the function."""
        return self.label

    @property
    def returned(self) -> UserModule:
        """What the function has returned."""
        return call_user_function(self.source).returned

    @property
    def takes_photographs(self) -> bool:  # type: ignore[override]
        """Whether its only input is a picture."""
        return self.returned.takes_photographs

    @property
    def makes_pictures(self) -> bool:  # type: ignore[override]
        """Whether its only output is a picture, of a photograph."""
        return self.takes_photographs and call_user_function(self.source).makes_picture

    @property
    def input_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """As the function says."""
        return tuple(self.returned.input_names)

    @property
    def output_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """As the function says."""
        return tuple(self.returned.output_names)

    @property
    def decoding(self) -> Decoding:  # type: ignore[override]
        """As the function says."""
        return self.returned.decoding

    @property
    def channels(self) -> int:  # type: ignore[override]
        """Of the example photograph."""
        return int(self.returned.example_inputs[0].shape[1])

    @property
    def size(self) -> tuple[int, int] | None:
        """Of tensors what stands for it; of photographs any."""
        return None if self.takes_photographs else self.default_size

    @property
    def default_size(self) -> tuple[int, int]:
        """That of the example input."""
        layout = "NCHW" if self.takes_photographs else ""
        return frame_size(tuple(self.returned.example_inputs[0].shape), layout)

    @property
    def own_heads(self) -> str:  # type: ignore[override]
        """As the function says."""
        return self.returned.head

    @property
    def module_path(self) -> str:  # type: ignore[override]
        """Behind the normalization, if there is one."""
        return f"{ROOT}.module" if self.returned.mean else ROOT

    @property
    def training(self) -> Training | None:
        """As the function says."""
        return self.returned.train

    def make(self) -> nn.Module:
        """A copy of the function's module."""
        return copy.deepcopy(self.returned.module)

    def load(self, checkpoint: Path | None) -> nn.Module:
        """The module behind the normalization of photographs, with the weights of ``checkpoint``
        where one is given."""
        net = self.make()
        if checkpoint is not None:
            load_weights(net, checkpoint)
        return self._normalized(net)

    def architecture(self) -> nn.Module:
        """The function's module, on the device "meta"."""
        return self._normalized(self.make()).to("meta")

    def example_inputs(self, height: int, width: int) -> tuple[Tensor, ...]:
        """A photograph of a size, or the example inputs."""
        if self.takes_photographs:
            return super().example_inputs(height, width)
        return _copies(self.returned.example_inputs)

    def calibration_photos(self) -> Sequence[NDArray[np.uint8]]:
        """Those of the folder, or the function's own pictures."""
        return _calibration_photos(self)

    def calibration_tensors(self) -> Sequence[tuple[Tensor, ...]]:
        """The function's own inputs."""
        if self.calibrate:
            raise MqnetError(
                f"calibrate {self.calibrate} is a folder of photographs, and {self.source} takes "
                "tensors: give those as `calibration` of a UserModule"
            )
        inputs = self.returned.calibration or (self.returned.example_inputs,)
        return [_copies(each) for each in inputs]

    def explain_calibration(self) -> None:
        """Say where scales are chosen on the example inputs alone."""
        if self.calibrate or self.returned.calibration:
            return
        if self.takes_photographs:
            log.warning(
                "%s: scales are chosen on the example input alone, which may fit no photograph: "
                "give a folder of them with --calibrate",
                self.label,
            )
        else:
            log.warning(
                "%s: scales are chosen on the example inputs alone: give more as `calibration` of "
                "a UserModule",
                self.label,
            )

    def _normalized(self, net: nn.Module) -> nn.Module:
        returned = self.returned
        return Normalized(net, returned.mean, returned.std).eval() if returned.mean else net


def _copies(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What a module may write into."""
    return tuple(one.detach().clone() for one in inputs)


@cache
def _calibration_photos(network: UserNetwork) -> Sequence[NDArray[np.uint8]]:
    if not network.calibrate:
        inputs = network.returned.calibration
        pictures = torch.cat([one for (one,) in inputs or (network.returned.example_inputs,)])
        pictures = (pictures.detach().clamp(0, 1) * 255).round().to(torch.uint8)
        return [picture.permute(1, 2, 0).numpy() for picture in pictures]
    return folder_photos(Path(network.calibrate), network.channels)
