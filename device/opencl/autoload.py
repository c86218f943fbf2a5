"""Loads the plugin at `import tvm`, through TVM's entry-point group `tvm.backends`.

Without a plugin, or without a driver, TVM is as it would be: `tvm.opencl(0).exist` is false.
"""

from __future__ import annotations

import ctypes
import os

from device.opencl.plugin import plugin_path

_DEVICE = "device_api.opencl"


def load_plugin() -> bool:
    """Give TVM its OpenCL device where the plugin is built; whether TVM has one now.

    Raises:
        OSError: The plugin cannot be loaded; TVM shows that as a warning.
    """
    # TVM is importing itself when it calls this; its ffi is complete.
    import tvm_ffi

    if tvm_ffi.get_global_func(_DEVICE, allow_missing=True) is not None:
        return True
    path = plugin_path(os.uname().machine, os.environ)
    if not path.exists():
        return False
    ctypes.CDLL(str(path), ctypes.RTLD_LOCAL)
    return True
