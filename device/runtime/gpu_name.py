"""What a GPU is called where its times are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What PoCL, which is OpenCL on a processor, calls itself.
_POCL = "PoCL"

#: What stands in front of its device's name.
POCL_WARNING = "PoCL, whose times rank nothing for a GPU"

#: The same of Vulkan.
SOFTWARE_WARNING = "a processor that plays a GPU, whose times rank nothing for one"


def gpu_name(gpu: Mapping[str, Any]) -> str:
    """Device and driver, of what :func:`device.runtime.opencl_device.describe_opencl` has told;
    with a warning where it is none."""
    name = f"{gpu['name']} by driver {gpu['driver']}"
    return f"{POCL_WARNING}: {name}" if _POCL in gpu["platform"] else name
