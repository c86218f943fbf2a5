"""A network of the user's own: what a function in a Python file of theirs returns."""

from __future__ import annotations

import copy
import importlib.util
import logging
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compile.networks.sourced_network import SourcedNetwork, folder_photos
from compile.support.errors import MqnetError

log = logging.getLogger(__name__)

_SEED = 0


@dataclass(frozen=True)
class UserNetwork(SourcedNetwork):
    """The module that the function ``source``, as ``my_net.py:build``, returns.

    It takes a picture, float32 [1, channels, H, W] in [0, 1]. The function has no arguments and
    returns ``(module, example_inputs)``, of which the only input is such a picture.

    Attributes:
        source: file and function.
        calibrate: folder of photographs to choose scales on; "" for the example input.
    """

    name: ClassVar[str] = "user"

    @property
    def label(self) -> str:
        """The file's name and the function's, unless that is ``build``."""
        path, function = _split(self.source)
        return path.stem if function == "build" else f"{path.stem}-{function}"

    @property
    def title(self) -> str:
        """The file and the function."""
        return self.label

    @property
    def channels(self) -> int:  # type: ignore[override]
        """Of the example input."""
        return int(_called(self.source)[1].shape[1])

    def make(self) -> nn.Module:
        """A copy of the function's module."""
        return copy.deepcopy(_called(self.source)[0])

    def architecture(self) -> nn.Module:
        """The function's module, on the device "meta"."""
        return self.make().to("meta")

    def calibration_photos(self) -> Sequence[NDArray[np.uint8]]:
        """Those of the folder, or the example input."""
        return _calibration_photos(self)


@cache
def _calibration_photos(network: UserNetwork) -> Sequence[NDArray[np.uint8]]:
    if not network.calibrate:
        log.warning(
            "%s: scales are chosen on the example input alone, which may fit no photograph: give a "
            "folder of them with --calibrate",
            network.label,
        )
        pictures = (_called(network.source)[1].clamp(0, 1) * 255).round().to(torch.uint8)
        return [picture.permute(1, 2, 0).numpy() for picture in pictures]
    return folder_photos(Path(network.calibrate), network.channels)


def _split(source: str) -> tuple[Path, str]:
    path, colon, function = source.rpartition(":")
    return (Path(path), function) if colon else (Path(function), "build")


@cache
def _called(source: str) -> tuple[nn.Module, Tensor]:
    """The module and its example input.

    Raises:
        MqnetError: the file or the function is not there or fails, or returns something else.
    """
    path, name = _split(source)
    if not path.is_file():
        raise MqnetError(
            f"network {path} is no file: give FILE.py:FUNCTION, or a name; `--network "
            "help` lists those"
        )
    spec = importlib.util.spec_from_file_location(f"network_of_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise MqnetError(f"network {path} is no Python file: give FILE.py:FUNCTION")
    file = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = file  # Dataclasses look there for what their annotations mean.
    try:
        with _as_a_script(path):
            spec.loader.exec_module(file)
            if not callable(function := getattr(file, name, None)):
                raise MqnetError(f"{path} has no function {name!r}: give FILE.py:FUNCTION")
            return _checked(source, function())
    except MqnetError:
        raise
    except SystemExit as end:
        raise MqnetError(
            f"{source} ends the program (exit code {end.code}): let it read no options, and put "
            "what only a script does below `if __name__ == '__main__':`"
        ) from None
    except Exception as error:  # Of the user's own code.
        raise MqnetError(f"{source} fails: {type(error).__name__}: {error}") from error


@contextmanager
def _as_a_script(path: Path) -> Iterator[None]:
    """Around code of the user's own: it may import its neighbours, sees no options of ours, prints
    to stderr, and draws the same random numbers each time, so that what it makes in one process is
    what it makes in the next."""
    arguments, folder = sys.argv, str(path.parent.absolute())
    numpy_state, state = np.random.get_state(), random.getstate()  # noqa: NPY002
    sys.path.insert(0, folder)
    sys.argv = [str(path)]
    try:
        with redirect_stdout(sys.stderr), torch.random.fork_rng(devices=()):
            torch.manual_seed(_SEED)
            np.random.seed(_SEED)  # noqa: NPY002
            random.seed(_SEED)
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(state)
        sys.argv = arguments
        if folder in sys.path:
            sys.path.remove(folder)


def _checked(source: str, made: object) -> tuple[nn.Module, Tensor]:
    wanted = f"{source} returns %s: let it return (module, example_inputs), a module in evaluation "
    wanted += "mode and a tuple of one picture, float32 [1, channels, height, width] in [0, 1]"
    if not isinstance(made, tuple) or len(made) != 2 or not isinstance(made[0], nn.Module):
        raise MqnetError(wanted % f"a {type(made).__name__}")
    net, inputs = made
    if net.training:
        raise MqnetError(wanted % "a module in training mode (call its eval())")
    if not isinstance(inputs, tuple) or not all(isinstance(one, Tensor) for one in inputs):
        raise MqnetError(wanted % "example inputs that are no tuple of tensors")
    if len(inputs) != 1:
        raise MqnetError(wanted % f"{len(inputs)} inputs, of which one is taken")
    (picture,) = inputs
    if picture.dtype != torch.float32 or picture.ndim != 4 or picture.shape[0] != 1:
        raise MqnetError(wanted % f"an input {picture.dtype} {list(picture.shape)}")
    if any(nn.parameter.is_lazy(tensor) for tensor in net.parameters()):
        raise MqnetError(wanted % "a module with lazy parameters (call it once)")
    for key, tensor in net.named_parameters():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise MqnetError(wanted % f"a module with {key} in {tensor.dtype} (call its float())")
    try:
        copy.deepcopy(net)
    except Exception as error:  # Of torch, or of the user's own code.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MqnetError(
            f"the module that {source} returns cannot be copied ({reason}): remove weight_norm and "
            "hooks (torch.nn.utils.remove_weight_norm)"
        ) from error
    return net, picture.detach()
