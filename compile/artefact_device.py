"""The device that a built network runs on, by its manifest: this machine's processor or its GPU."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import tvm

from compile.errors import ArtefactError
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
        ArtefactError: there is no device, its work groups are too small, or it lacks an extension.
    """
    needs, reason = target["opencl"], None
    missing = sorted(set(needs["extensions"]) - set(facts.get("extensions", "").split()))
    if "error" in facts:
        raise ArtefactError(f"target {target['name']} runs through OpenCL: {facts['error']}")
    if facts["work_group"] < needs["work_group"]:
        reason = (
            f"takes work groups of {facts['work_group']} items, and it needs "
            f"{needs['work_group']}: build for a target with a smaller 'work_group'"
        )
    elif missing:
        reason = f"lacks {', '.join(missing)}: build for a target that does without"
    if reason is not None:
        raise ArtefactError(
            f"what is built for target {target['name']} cannot run on {facts['name']}, which "
            f"{reason}"
        )
