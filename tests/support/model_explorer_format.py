"""Model Explorer's own description of the graphs that it reads, without the rest of the package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from needed_in_ci import give_up


def graph_builder() -> ModuleType:
    """Its module of that name; importing the package would start its server's parts."""
    package = importlib.util.find_spec("model_explorer")
    if package is None or package.origin is None:
        give_up(
            "the format of graphs",
            "Model Explorer is not installed: pip install --no-deps -r requirements-no-deps.lock",
        )
    name = "model_explorer_graph_builder"
    path = Path(package.origin).with_name("graph_builder.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    # Its types name each other, and are looked up among the modules.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
