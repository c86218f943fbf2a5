"""Relax and TIR passes, one per file."""

import tvm_ffi

from compile.support.errors import GraphError, TargetError

# A pass runs inside of TVM's C++; without this an error of ours would come out as a RuntimeError.
for _error in (GraphError, TargetError):
    tvm_ffi.register_error(_error.__name__, _error)
