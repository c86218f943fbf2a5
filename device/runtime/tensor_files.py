"""Files of tensors, .npz by name and .npy of a single one, as what goes into a network and comes
out of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.artefact.manifest import PICTURE, NetworkTensor
from compile.support.atomic import write_atomically
from compile.support.errors import OutputError, PhotoError
from compile.support.frame import Frame

TENSOR_ENDINGS = (".npz", ".npy")


def read_tensors(path: Path, wanted: Sequence[NetworkTensor]) -> Frame:
    """The tensors of a .npz by the names of the inputs that are ``wanted``, or that of a .npy.

    Raises:
        PhotoError: no such file, or it holds something else than is wanted.
    """
    arrays = _arrays(path, wanted)
    names = [tensor.name for tensor in wanted]
    if set(arrays) != set(names):
        raise PhotoError(
            f"{path} holds {_listed(arrays)}, and the network takes {_listed(names)}: save them "
            "by these names, as numpy.savez does"
        )
    for tensor in wanted:
        array = arrays[tensor.name]
        if array.shape != tensor.shape or str(array.dtype) != tensor.dtype:
            raise PhotoError(
                f"{path} has {array.dtype} {list(array.shape)} for {tensor.name!r}, and the "
                f"network takes {tensor.dtype} {list(tensor.shape)}"
            )
    return tuple(arrays[name] for name in names)


def check_writes_tensors(path: Path, outputs: Sequence[NetworkTensor]) -> None:
    """Raise where a file of the ending of ``path`` cannot hold ``outputs``: before the work.

    Raises:
        OutputError: several tensors for a .npy.
    """
    if path.suffix.lower() == ".npy" and len(outputs) > 1:
        raise OutputError(
            f"{path} holds one tensor, and the network gives {len(outputs)}: name it .npz"
        )


def write_tensors(path: Path, outputs: Frame, described: Sequence[NetworkTensor]) -> None:
    """Write ``outputs`` by name into a .npz, or the only one into a .npy. A picture is written as
    the network's module has it, float32 [1, C, H, W].

    Raises:
        OutputError: it cannot be written.
    """
    arrays = {
        tensor.name: output.transpose(0, 3, 1, 2) if tensor.layout == PICTURE else output
        for tensor, output in zip(described, outputs, strict=True)
    }
    content = io.BytesIO()
    if path.suffix.lower() == ".npy":
        (array,) = arrays.values()
        np.save(content, array)
    else:
        # By savez itself a tensor that is called "file" would be the file.
        with zipfile.ZipFile(content, "w") as file:
            for name, array in arrays.items():
                with file.open(f"{name}.npy", "w") as entry:
                    np.lib.format.write_array(entry, np.asarray(array, order="C"))
    write_atomically(path, content.getvalue())


def _arrays(path: Path, wanted: Sequence[NetworkTensor]) -> dict[str, NDArray[Any]]:
    if path.suffix.lower() not in TENSOR_ENDINGS:
        names = _listed([tensor.name for tensor in wanted])
        raise PhotoError(
            f"{path} is no file of tensors, which the network takes: give a .npz with {names}"
        )
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {wanted[0].name: loaded} if len(wanted) == 1 else {path.name: loaded}
            # What else there is in an archive is bytes.
            return {name: np.asanyarray(loaded[name]) for name in loaded}
    except OSError as error:
        raise PhotoError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # Of half a dozen modules that read what may be anything.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise PhotoError(f"{path} is damaged or no file of NumPy's: {reason}") from None


def _listed(names: Sequence[str] | dict[str, Any]) -> str:
    return ", ".join(map(repr, names)) or "nothing"
