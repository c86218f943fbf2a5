"""What a machine says of itself where its GPU is measured."""

from __future__ import annotations

from typing import Any

from compile.support.errors import TargetError
from device.runtime.gpu_name import gpu_name


def gpu_facts(machine: dict[str, Any], gpu: dict[str, Any]) -> dict[str, Any]:
    """The facts of ``machine`` (see :func:`device.server.machine.describe_machine`) with the GPU
    in the place of the processor, of which :func:`device.runtime.opencl_device.describe_opencl` has
    told ``gpu``.

    Raises:
        TargetError: there is no GPU.
    """
    if "error" in gpu:
        raise TargetError(f"no OpenCL: {gpu['error']}")
    return machine | {"cpu": gpu_name(gpu), "opencl": gpu}
