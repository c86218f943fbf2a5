"""The converted files that other engines run: where they are, and that they are the right ones."""

from __future__ import annotations

import tomllib
from pathlib import Path

from compile.networks.mqnet.weights_folder import BUNDLED
from compile.support.atomic import write_atomically
from compile.support.checksum import sha256_of
from compile.support.errors import MqnetError

PEER_FILES = Path(__file__).parent / "files"
"""One file per engine, scheme and size; checksums.toml beside them."""

SIZES = ((256, 256), (768, 1280))
"""Heights and widths that there are files for."""

_CHECKSUMS = PEER_FILES / "checksums.toml"


def peer_file(name: str) -> Path:
    """The file called ``name``.

    Raises:
        MqnetError: it is missing, damaged, or of other weights than those that are bundled.
    """
    remedy = "make it again with `make peers`"
    try:
        known = tomllib.loads(_CHECKSUMS.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise MqnetError(f"{_CHECKSUMS} cannot be read ({error}): {remedy}") from None
    path = PEER_FILES / name
    if name not in known["files"] or not path.exists():
        raise MqnetError(f"{path} is not there: {remedy}")
    if sha256_of(path) != known["files"][name]:
        raise MqnetError(f"{path} is damaged: {remedy}")
    if _weights_sha256() != known["weights"]:
        raise MqnetError(f"{path} is of other weights than the bundled ones: {remedy}")
    return path


def litert_name(scheme: str, size: tuple[int, int]) -> str:
    """Name of LiteRT's file of a quantization scheme and a height and width."""
    return f"litert-{scheme}-{size[0]}x{size[1]}.tflite"


def onnx_name(scheme: str, size: tuple[int, int]) -> str:
    """Name of the .onnx of any network but MQNet, whose files serve every size."""
    return f"onnx-{scheme}-{size[0]}x{size[1]}.onnx"


def engine_file(folder: Path | None, name: str) -> Path:
    """The file called ``name`` in ``folder``, or MQNet's where that is None.

    Raises:
        MqnetError: it is missing, or as :func:`peer_file` says.
    """
    if folder is None:
        return peer_file(name)
    path = folder / name
    if not path.is_file():
        raise MqnetError(f"{path} is not there: it is not made, or its converter refuses")
    return path


def onnx_file(scheme: str, size: tuple[int, int], folder: Path | None) -> Path:
    """The .onnx of a scheme and a size in ``folder``, or MQNet's where that is None.

    Raises:
        MqnetError: as :func:`engine_file`.
    """
    name = f"onnx-{scheme}.onnx" if folder is None else onnx_name(scheme, size)
    return engine_file(folder, name)


def write_checksums() -> None:
    """Note the files that there are, and the weights that they were made of."""
    names = sorted(path.name for path in PEER_FILES.iterdir() if path != _CHECKSUMS)
    lines = [
        "# Made by `make peers`: the bundled weights and what was converted from them.",
        f'weights = "{_weights_sha256()}"',
        "",
        "[files]",
        *(f'"{name}" = "{sha256_of(PEER_FILES / name)}"' for name in names),
    ]
    write_atomically(_CHECKSUMS, ("\n".join(lines) + "\n").encode())


def _weights_sha256() -> str:
    """Checksum of the weights that the files have to be of."""
    return sha256_of(BUNDLED / "ca.safetensors")
