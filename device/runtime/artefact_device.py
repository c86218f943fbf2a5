"""The devices that a built network runs on, by its manifest: a machine's processor or its GPU."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from compile.artefact.artefact import LIBRARY, Artefact
from compile.codegen.opencl.dot_product import EXTENSIONS
from compile.graph.parts import BACKBONE, HEAD, HEAD_LIBRARY
from compile.support.errors import ArtefactError
from device.runtime.opencl_device import describe_opencl


def network_layout(artefact: Artefact) -> dict[str, Any]:
    """Which library computes what and on which device, as plain data: "parts" in the order of
    computation, each by its name ("main", or "backbone" and "head") with the library's file and
    TVM's name of the device; and "head_arguments" (:class:`compile.split_network.SplitNetwork`),
    empty where one device computes all."""
    on_gpu = artefact.manifest["target"].get("opencl") is not None
    kind = "opencl" if on_gpu else "cpu"
    split = artefact.manifest.get("split")
    if split is None:
        return {"parts": {"main": (LIBRARY, kind)}, "head_arguments": []}
    parts = {BACKBONE: (LIBRARY, kind), HEAD: (HEAD_LIBRARY, kind)}
    beside = split["on_processor"]
    parts[beside] = (parts[beside][0], "cpu")
    return {"parts": parts, "head_arguments": split["head_arguments"]}


def check_device_here(target: Mapping[str, Any]) -> None:
    """Raise where this machine has no device for kernels that were built for ``target``, as a
    manifest describes it.

    Raises:
        ArtefactError: it is a GPU's network, and this machine has no OpenCL or not enough of it.
    """
    if target.get("opencl") is not None:
        check_opencl(target, json.loads(describe_opencl()))


def check_opencl(target: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raise where an OpenCL device cannot run what was built for ``target``.

    Args:
        target: as a manifest describes it.
        facts: as :func:`device.runtime.opencl_device.describe_opencl` tells them of the device.

    Raises:
        ArtefactError: there is no device, its work groups are too small, or it has no dot product.
    """
    if "error" in facts:
        raise ArtefactError(f"target {target['name']} runs through OpenCL: {facts['error']}")
    reason = why_not_on(target, facts)
    if reason is not None:
        raise ArtefactError(f"what is built for target {target['name']} cannot run there: {reason}")


def why_not_on(target: Mapping[str, Any], facts: Mapping[str, Any]) -> str | None:
    """Why an OpenCL device that has told ``facts`` cannot run what is built for ``target``, as a
    clause; None where it can."""
    needs, name = target["opencl"], facts["name"]
    if facts["work_group"] < needs["work_group"]:
        return (
            f"{name} takes work groups of {facts['work_group']} items, and it needs "
            f"{needs['work_group']}: build for a target with a smaller 'work_group'"
        )
    if needs["integer_dot_product"] and not EXTENSIONS.keys() & set(facts["extensions"].split()):
        return f"{name} has none of {', '.join(EXTENSIONS)}: build for a target that does without"
    return None
