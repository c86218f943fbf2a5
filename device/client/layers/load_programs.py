"""The network of a build as PyTorch computes it: quantized as it was compiled, and in float32."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from compile.artefact.manifest import CheckpointFacts
from compile.artefact.reader import Artefact
from compile.artefact.vector_file import ProgramNodes
from compile.support.build_cache import user_cache
from compile.support.checksum import sha256_of
from compile.support.errors import ArtefactError, MqnetError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from compile.networks.network import Network


@dataclass(frozen=True)
class Programs:
    """Of one network and one size.

    Attributes:
        quantized: what was compiled.
        plain: what was quantized; None of a network that came quantized.
    """

    quantized: ExportedProgram
    plain: ExportedProgram | None


def load_programs(
    artefact: Artefact, nodes: ProgramNodes, checkpoint: Path | None, recipe: Path | None
) -> Programs:
    """Make the programs of the network that ``artefact`` was built of.

    Args:
        artefact: a build.
        nodes: that its test vector knows of the program.
        checkpoint, recipe: the files that it was built with, where it was built with some.

    Raises:
        MqnetError: PyTorch is not here, the files are others, or what comes of them is another
            program.
    """
    if find_spec("torch") is None:
        raise MqnetError(
            "--layers computes the network with PyTorch, which is not installed here: check the "
            "layers where the network was built, with --tracker and --key for another device"
        )
    folder = artefact.library.parent
    if not nodes.names:
        raise ArtefactError(
            f"{folder} does not say which tensors its kernels make, as builds of earlier versions: "
            "build it again"
        )
    from compile.artefact.list_nodes import list_nodes
    from compile.build_network import float_network, quantized_program
    from compile.build_request import BuildRequest

    manifest, network = artefact.manifest, _network(artefact)
    recipe = _same_file(folder, "recipe", recipe, manifest.recipe)
    request = BuildRequest(
        manifest.target.name, manifest.scheme, network, artefact.size, recipe=recipe
    )
    weights = checkpoint or request.weights
    checkpoint = _same_file(folder, "checkpoint", weights, manifest.checkpoint)
    request = replace(request, checkpoint=checkpoint)
    quantized = quantized_program(request, user_cache(os.environ))
    if list_nodes(quantized) != nodes:
        raise ArtefactError(
            f"{folder} was made of other scales than the network gets here: another processor "
            "or version of PyTorch calibrates otherwise in the last bits; build it again here"
        )
    return Programs(quantized, float_network(request))


def _network(artefact: Artefact) -> Network:
    from compile.networks.registry import MQNET, built_network

    manifest, parameters = artefact.manifest, artefact.manifest.parameters
    if manifest.network == MQNET:
        parameters = {"attention": manifest.attention, **parameters}
    return built_network(manifest.network, parameters)


def _same_file(
    folder: Path, kind: str, path: Path | None, wanted: CheckpointFacts | None
) -> Path | None:
    """``path`` where it is the file that was built with.

    Raises:
        ArtefactError: it is not.
    """
    if wanted is None:
        return None
    if path is None or not path.is_file() or sha256_of(path) != wanted.sha256:
        what = f"{path} is another file" if path is not None else "none is named"
        raise ArtefactError(
            f"{folder} was built with {kind} {wanted.name}, and {what}: give it by --{kind} FILE"
        )
    return path
