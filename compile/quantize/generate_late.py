"""Python code of PyTorch's graphs that is generated when it is run, and not at each change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.fx import GraphModule


@contextmanager
def generating_late() -> Iterator[None]:
    """Let graph modules that are made or changed in this block have their code generated when they
    are first run.

    Preparing, converting and lifting a graph changes it twenty times, and PyTorch writes and
    compiles its code after each, which takes a fifth of quantizing. What is asked for its code
    without being run, by `print_readable` or `code`, has to be recompiled behind the block.
    """
    generate = GraphModule.recompile

    def mark(module: GraphModule) -> None:
        kind = type(module)  # Each graph module has a class of its own.

        def forward(self: GraphModule, *args: object, **kwargs: object) -> object:
            generate(self)
            return kind.forward(self, *args, **kwargs)

        kind.forward = forward  # As PyTorch itself does it.

    GraphModule.recompile = mark  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        GraphModule.recompile = generate  # type: ignore[method-assign]
