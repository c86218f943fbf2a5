"""Trace a network, with one sentence where its own code does not let itself be traced."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import config as fx_config

from compile.networks.network import Network
from compile.quantize.simplify_graph import simplify_graph
from compile.support.errors import GraphError

_OF_CHANCE = ("bernoulli", "normal", "multinomial", "poisson", "exponential", "geometric")

# Print where in torch an operation has failed, which the error says as well.
_LOUD = [
    logging.getLogger(f"torch.{name}")
    for name in ("_subclasses.fake_tensor", "fx.experimental.symbolic_shapes")
]


def export_network(network: Network, net: nn.Module, inputs: tuple[Tensor, ...]) -> ExportedProgram:
    """Export ``net``, which stands for ``network``, at the size of ``inputs``.

    Raises:
        GraphError: it cannot be traced, or does not take this size.
    """
    with exporting(network, inputs), _no_stack_traces():
        program = torch.export.export(net, inputs)
    _check_no_chance(network, program)
    simplify_graph(program)
    return program


@contextmanager
def _no_stack_traces() -> Iterator[None]:
    """Keep no line of source of each operation in this block: nothing reads them, and a sixth of
    the time of an export goes into them."""
    before = fx_config.do_not_emit_stack_traces
    fx_config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        fx_config.do_not_emit_stack_traces = before


@contextmanager
def exporting(network: Network, inputs: tuple[Tensor, ...]) -> Iterator[None]:
    """Say in one sentence what torch raises in this block, in which it sees what ``network`` does
    to ``inputs``.

    Raises:
        GraphError: the network cannot be traced, or does not take this size.
    """
    levels = [logger.level for logger in _LOUD]
    for logger in _LOUD:
        logger.setLevel(logging.CRITICAL)
    try:
        # Where it fails, torch prints graphs; a user's network may print at any time.
        with redirect_stderr(StringIO()) as said, redirect_stdout(said):
            yield
        sys.stderr.write(said.getvalue())
    except Exception as error:  # Of the network's own code, or of torch's on seeing it.
        reason = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        if "data-dependent" in reason:
            reason = (
                "what it does depends on the values of a picture, as in `if x.mean() > 0` "
                f"({reason.strip()})"
            )
        raise GraphError(
            f"network {network.title} cannot be exported for {_shape(inputs)}: {reason}"
        ) from error
    finally:
        for logger, level in zip(_LOUD, levels, strict=True):
            logger.setLevel(level)


def _shape(inputs: tuple[Tensor, ...]) -> str:
    if len(inputs) == 1 and inputs[0].dtype is torch.uint8 and inputs[0].ndim == 4:
        return "{}x{}".format(*inputs[0].shape[1:3])
    return ", ".join(str(list(one.shape)) for one in inputs)


def _check_no_chance(network: Network, program: ExportedProgram) -> None:
    """Raise where ``program`` draws random numbers: the compiler would draw them once for all."""
    for node in program.graph.nodes:
        name = getattr(node.target, "__name__", str(node.target)).partition(".")[0]
        is_of_chance = name.startswith("rand") or name in _OF_CHANCE
        if node.op == "call_function" and is_of_chance and node.users:
            raise GraphError(
                f"network {network.title} draws random numbers ({name}): a picture would come out "
                "differently each time; leave that out in evaluation mode"
            )
