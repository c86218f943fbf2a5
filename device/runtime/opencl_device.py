"""The OpenCL device of the machine that serves: the plugin, and what it says of the device."""

from __future__ import annotations

import json

from compile.support.errors import TargetError
from device.opencl.autoload import load_plugin
from device.runtime.tvm_runtime import device_named, find_function, load_runtime, runtime_function

_DESCRIBE = "mqnet.opencl.describe_device"
# DeviceAttrKind::kMaxThreadsPerBlock
_MAX_THREADS_PER_BLOCK = 1


def load_opencl() -> None:
    """Load the plugin where it is built. It opens no driver: that is for the sessions, which are
    forks, and OpenCL does not survive a fork.

    Raises:
        TargetError: it is there and cannot be loaded.
    """
    load_runtime()
    try:
        load_plugin()
    except OSError as error:
        raise TargetError(
            f"the OpenCL plugin cannot be loaded ({error}): build it again "
            "(python device/build_opencl.py)"
        ) from None


def describe_opencl() -> str:
    """JSON: what the first OpenCL device is ("name", "extensions", "work_group" and more), or
    {"error": why there is none}."""
    try:
        load_opencl()
    except TargetError as error:
        return json.dumps({"error": str(error)})
    describe = find_function(_DESCRIBE)
    if describe is None:
        return json.dumps({"error": "build its plugin (python device/build_opencl.py) there"})
    try:
        facts = {name: _plain(value) for name, value in describe(0).items()}
    except RuntimeError as error:
        return json.dumps({"error": " ".join(str(error).split())})
    kind = device_named("opencl").dlpack_device_type()
    work_group = runtime_function("runtime.GetDeviceAttr")(kind, 0, _MAX_THREADS_PER_BLOCK)
    return json.dumps(facts | {"work_group": work_group})


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int) else str(value)
