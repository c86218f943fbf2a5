"""Files of tensors on which scales are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from compile.support.errors import MqnetError


def folder_tensors(
    folder: Path, names: Sequence[str], examples: Sequence[Tensor]
) -> list[tuple[Tensor, ...]]:
    """Read each .npz of ``folder``: tensors called ``names``, of the shapes and dtypes of
    ``examples``.

    Raises:
        MqnetError: it is no folder, or holds no such file; or a file has other tensors.
    """
    if not folder.is_dir():
        raise MqnetError(f"calibrate {folder} is no folder: give one that holds .npz files")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".npz")
    if not paths:
        raise MqnetError(f"calibrate {folder} holds no .npz file with {', '.join(names)}")
    return [_tensors(path, names, examples) for path in paths]


def _tensors(path: Path, names: Sequence[str], examples: Sequence[Tensor]) -> tuple[Tensor, ...]:
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, TypeError, BadZipFile) as error:
        raise MqnetError(f"calibrate {path} cannot be read ({error}): write it again") from error
    for name, example in zip(names, examples, strict=True):
        found = held.get(name)
        if found is None or (found.dtype, found.shape) != (example.dtype, example.shape):
            given = "no such tensor" if found is None else f"{found.dtype} {list(found.shape)}"
            raise MqnetError(
                f"calibrate {path} has {given} for {name}: give {example.dtype} "
                f"{list(example.shape)}"
            )
    return tuple(held[name] for name in names)
