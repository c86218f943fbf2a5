"""The devices that a built network runs on, by its manifest: a machine's processor or its GPU."""

from __future__ import annotations

from typing import Any

from compile.artefact.manifest import LIBRARY
from compile.artefact.reader import Artefact
from compile.graph.parts import BACKBONE, HEAD, HEAD_LIBRARY


def network_layout(artefact: Artefact) -> dict[str, Any]:
    """Which library computes what and on which device, as plain data: "parts" in the order of
    computation, each by its name ("main", or "backbone" and "head") with the library's file and
    TVM's name of the device; and "head_arguments", of
    :class:`compile.artefact.describe_interface.Interface`, empty where one device computes all."""
    kind = "opencl" if artefact.manifest.on_gpu else "cpu"
    split = artefact.manifest.split
    if split is None:
        return {"parts": {"main": (LIBRARY, kind)}, "head_arguments": []}
    parts = {BACKBONE: (LIBRARY, kind), HEAD: (HEAD_LIBRARY, kind)}
    beside = split.on_processor
    parts[beside] = (parts[beside][0], "cpu")
    return {"parts": parts, "head_arguments": split.head_arguments}
