"""The frame of a pass that puts calls of kernels together. Not a pass itself."""

from __future__ import annotations

from collections import defaultdict

import tvm
from tvm import relax, tirx

from compile.graph.constants import variables_of
from compile.graph.layers import marks_of, with_marks
from compile.graph.quantized_graph import op_name
from compile.graph.rewrite_function import FunctionRewriter
from compile.kernels.common.kernel_function import FAMILY_ATTR


class KernelCallRewriter(FunctionRewriter):
    """Knows the kernels behind a function's variables, and who reads them.

    Attributes:
        users: of each variable, those that are computed from it; None stands for the function's
            result.
    """

    def __init__(self, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        self.mod = mod
        self.users: dict[relax.Var, list[relax.Var | None]] = defaultdict(list)
        for var, value in self.definitions.items():
            for operand in set(variables_of(value)):
                self.users[operand].append(var)
        for result in variables_of(function.body.body):
            self.users[result].append(None)

    def kernel(self, var: relax.Expr | None) -> tirx.PrimFunc | None:
        """The kernel that computes ``var``, if one does."""
        call = self.definitions.get(var) if isinstance(var, relax.Var) else None
        if call is None or op_name(call) != "call_tir":
            return None
        return self.mod[call.args[0]]

    def family(self, var: relax.Expr | None) -> str | None:
        """Of the kernel that computes ``var``."""
        kernel = self.kernel(var)
        return None if kernel is None else (kernel.attrs or {}).get(FAMILY_ATTR)

    def operands(self, var: relax.Var) -> list[relax.Expr]:
        """What the kernel that computes ``var`` takes."""
        return list(self.definitions[var].args[1].fields)

    def only_reader(self, var: relax.Var) -> relax.Var | None:
        """The variable that alone is computed from ``var``, if there is one."""
        readers = self.users[var]
        return readers[0] if len(readers) == 1 else None

    def with_layers_of(self, call: relax.Call, members: list[relax.Var]) -> relax.Call:
        """``call`` as one that computes the layers of all ``members``."""
        calls = (self.definitions[var] for var in members)
        return with_marks(call, [mark for each in calls for mark in marks_of(each)])
