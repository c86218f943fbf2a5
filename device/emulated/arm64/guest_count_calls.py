"""Counts calls of libraries' functions under QEMU; executed by the guest's own Python.

Of this project only what a board runs anyway may be imported. Arguments: jobs.json (a list of
[library, function, arguments.npz]), counts.json (a list of what `count_call` says).
"""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np
import tvm

# The script's own folder is all that Python looks into by itself.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from device.server.count_call import count_call  # noqa: E402


def main() -> None:
    """Count each job that the command line names."""
    jobs, counts = map(Path, sys.argv[1:])
    # A runtime-only TVM does not load this part by itself; some packed functions live in it.
    extra = Path(tvm.__file__).parent / "lib" / "libtvm_runtime_extra.so"
    ctypes.CDLL(str(extra), ctypes.RTLD_GLOBAL)
    found = []
    for library, function, arguments in json.loads(jobs.read_text()):
        with np.load(arguments) as arrays:
            tensors = [tvm.runtime.tensor(array) for array in arrays.values()]
        found.append(json.loads(count_call(library, function, *tensors)))
    counts.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
