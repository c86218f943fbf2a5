"""Inline the backbone and the head into ``main``.

One function is planned as a whole: the head's feature maps then lie in memory that the backbone is
done with. The parts stay, so that each can be called by itself.
"""

from __future__ import annotations

import tvm
from tvm import relax


@tvm.transform.module_pass(opt_level=0, name="InlineParts")
class InlineParts:
    """Replace calls of Relax functions in ``main`` by what they do."""

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        if not any(name.name_hint == "main" for name in mod.get_global_vars()):
            return mod
        parts = {
            name: function
            for name, function in mod.functions_items()
            if isinstance(function, relax.Function) and name.name_hint != "main"
        }
        inlined = mod.clone()
        for name, function in parts.items():
            # TVM inlines private functions only.
            inlined.update_func(name, function.without_attr("global_symbol"))
        inlined = relax.transform.InlinePrivateFunctions()(inlined)
        result = mod.clone()
        result.update_func(result.get_global_var("main"), inlined["main"])
        return result
