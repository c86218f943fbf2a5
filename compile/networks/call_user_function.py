"""Calls a function in a user's own Python file and checks what it returns."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import math
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from compile.networks.export_wrapper import named_outputs
from compile.networks.network import Decoding
from compile.networks.user_module import NAME_LENGTH, UserModule, fits_in_file, is_picture
from compile.support.errors import MqnetError

_SEED = 0
_DTYPES = (torch.float32, torch.int8, torch.uint8, torch.int32, torch.int64)


@dataclass(frozen=True)
class Called:
    """What a function has returned.

    Attributes:
        returned: with names for all inputs and outputs.
        makes_picture: whether the only output is a picture of at most 4 channels.
    """

    returned: UserModule
    makes_picture: bool


def split_source(source: str) -> tuple[Path, str]:
    """The file and the function of "FILE.py:FUNCTION"; ``build`` where none is named."""
    path, colon, function = source.rpartition(":")
    return (Path(path), function) if colon else (Path(function), "build")


@cache
def call_user_function(source: str) -> Called:
    """Call the function of "FILE.py:FUNCTION", once.

    Raises:
        MqnetError: the file or the function is not there or fails, or returns something else.
    """
    path, name = split_source(source)
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
            checked = _checked(source, function())
            return _tried(source, checked)
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
        # A caller that counts makes its own tensors on "meta".
        with (
            redirect_stdout(sys.stderr),
            torch.device("cpu"),
            torch.random.fork_rng(devices=()),
        ):
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


def _checked(source: str, made: object) -> UserModule:
    wanted = f"{source} returns %s: let it return (module, example_inputs), a module in evaluation "
    wanted += "mode and a tuple of tensors, or a UserModule of them"
    if isinstance(made, tuple) and len(made) == 2:
        made = UserModule(*made)
    if not isinstance(made, UserModule) or not isinstance(made.module, nn.Module):
        raise MqnetError(wanted % f"a {type(made).__name__}")
    made = _with_tuples(made, wanted)
    net = made.module
    if net.training:
        raise MqnetError(wanted % "a module in training mode (call its eval())")
    for inputs in (made.example_inputs, *made.calibration):
        if not isinstance(inputs, tuple) or not all(isinstance(one, Tensor) for one in inputs):
            raise MqnetError(wanted % "inputs that are no tuple of tensors")
        if not all(one.isfinite().all() for one in inputs):
            raise MqnetError(wanted % "inputs with numbers that are not finite")
        shapes = [(one.dtype, one.shape) for one in inputs]
        if shapes != [(one.dtype, one.shape) for one in made.example_inputs]:
            raise MqnetError(wanted % f"calibration inputs {shapes} unlike its example")
    if not made.example_inputs:
        raise MqnetError(wanted % "no example input")
    for one in made.example_inputs:
        if one.dtype not in _DTYPES or (one.ndim == 4 and one.shape[0] != 1) or not one.numel():
            raise MqnetError(
                wanted % f"an input {one.dtype} {list(one.shape)} (float32 or integers, one "
                "picture at a time)"
            )
    if any(nn.parameter.is_lazy(tensor) for tensor in net.parameters()):
        raise MqnetError(wanted % "a module with lazy parameters (call it once)")
    for key, tensor in net.named_parameters():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise MqnetError(wanted % f"a module with {key} in {tensor.dtype} (call its float())")
    _check_normalization(source, made)
    if made.decoding not in get_args(Decoding):
        known = ", ".join(get_args(Decoding))
        raise MqnetError(f"{source} has decoding {made.decoding!r}: choose one of {known}")
    try:
        copy.deepcopy(net)
    except Exception as error:  # Of torch, or of the user's own code.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MqnetError(
            f"the module that {source} returns cannot be copied ({reason}): remove weight_norm and "
            "hooks (torch.nn.utils.remove_weight_norm)"
        ) from error
    return made


def _with_tuples(made: UserModule, wanted: str) -> UserModule:
    """``made``, whose sequences may be lists, arrays, or run through once."""
    values: dict[str, Any] = {}
    for name in ("mean", "std", "input_names", "output_names", "calibration"):
        given = getattr(made, name)
        if isinstance(given, str):
            raise MqnetError(wanted % f"{name} {given!r} (it is no sequence)")
        try:
            value = tuple(() if given is None else given)
        except TypeError:
            raise MqnetError(wanted % f"{name} {given!r} (it is no sequence)") from None
        values[name] = tuple(map(float, value)) if name in ("mean", "std") else value
    if not isinstance(made.photographs, bool):
        raise MqnetError(wanted % f"photographs {made.photographs!r} (True or False)")
    if made.train is not None and not callable(made.train):
        raise MqnetError(wanted % f"train {made.train!r} (a function of two modules)")
    if not isinstance(made.head, str):
        raise MqnetError(wanted % f"head {made.head!r} (several are one text, with commas between)")
    return replace(made, **values)


def _check_normalization(source: str, made: UserModule) -> None:
    if not made.mean and not made.std:
        return
    numbers = (*made.mean, *made.std)
    if not all(map(math.isfinite, numbers)):
        raise MqnetError(f"{source} has mean {made.mean} and std {made.std}: give finite numbers")
    if not made.takes_photographs:
        raise MqnetError(f"{source} has mean and std, which are of photographs: leave them out")
    channels = made.example_inputs[0].shape[1]
    if len(made.mean) != channels or len(made.std) != channels or not all(made.std):
        raise MqnetError(
            f"{source} has mean {list(made.mean)} and std {list(made.std)} of a photograph of "
            f"{channels} channels: give one number of each per channel, std without 0"
        )


def _tried(source: str, made: UserModule) -> Called:
    """``made`` with all names, after one call."""
    with torch.no_grad():
        # Copies, as a module may write into what it is given.
        outputs = named_outputs(made.module(*(one.clone() for one in made.example_inputs)))
    for name, tensor in outputs.items():
        if not tensor.numel():
            raise MqnetError(f"{source} gives {name} {list(tensor.shape)}, which holds no number")
    names = made.input_names or _parameters(made.module, len(made.example_inputs))
    for kind, given, count in (
        ("input", names, len(made.example_inputs)),
        ("output", made.output_names, len(outputs)),
    ):
        if given and (len(given) != count or len(set(given)) != count):
            raise MqnetError(f"{source} names {list(given)} for {count} {kind}s: name each once")
    returned = replace(
        made, input_names=tuple(names), output_names=tuple(made.output_names or outputs)
    )
    for name in (*returned.input_names, *returned.output_names):
        if not isinstance(name, str) or not fits_in_file(name):
            raise MqnetError(
                f"{source} names a tensor {str(name)[:NAME_LENGTH]!r}: names of tensors are texts "
                f"of at most {NAME_LENGTH} characters in one line that do not end in .npy"
            )
    tensors = list(outputs.values())
    return Called(returned, len(tensors) == 1 and is_picture(tensors[0]))


def _parameters(module: nn.Module, count: int) -> Sequence[str]:
    known = inspect.signature(module.forward).parameters.values()
    names = [one.name for one in known if one.kind is not inspect.Parameter.VAR_POSITIONAL]
    return names[:count] if len(names) >= count else [f"input_{index}" for index in range(count)]
