"""The device that a built network runs on, by its manifest: this machine's processor or its GPU."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import tvm

from compile.errors import ArtefactError
from compile.kernels.opencl_dot_product import EXTENSIONS
from targets.served.opencl import describe_opencl


def artefact_device(target: Mapping[str, Any]) -> tvm.runtime.Device:
    """The device for kernels that were built for ``target``, as a manifest describes it.

    Raises:
        ArtefactError: it is a GPU's network, and this machine has no OpenCL or not enough of it.
    """
    if target.get("opencl") is None:
        return tvm.cpu()
    check_opencl(target, json.loads(describe_opencl()))
    return tvm.opencl(0)


def check_opencl(target: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raise where an OpenCL device cannot run what was built for ``target``.

    Args:
        target: as a manifest describes it.
        facts: as :func:`targets.served.opencl.describe_opencl` tells them of the device.

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
