"""What a machine says of itself where its GPU is measured."""

from __future__ import annotations

from typing import Any

from compile.errors import TargetError

#: What PoCL, which is OpenCL on a processor, calls itself.
_POCL = "PoCL"


def gpu_facts(machine: dict[str, Any], gpu: dict[str, Any]) -> dict[str, Any]:
    """The facts of ``machine`` (see :func:`targets.served.machine.describe_machine`) with the GPU
    in the place of the processor, of which :func:`targets.served.opencl.describe_opencl` has told
    ``gpu``. Times of PoCL rank nothing for a GPU, and the name says so.

    Raises:
        TargetError: there is no GPU.
    """
    if "error" in gpu:
        raise TargetError(f"no OpenCL: {gpu['error']}")
    name = f"{gpu['name']} by driver {gpu['driver']}"
    if _POCL in gpu["platform"]:
        name = f"PoCL, whose times rank nothing for a GPU: {name}"
    return machine | {"cpu": name, "opencl": gpu}
