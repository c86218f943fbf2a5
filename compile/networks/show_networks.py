"""The table of networks for `--network help`, and the same as plain data for `--json`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from compile.networks.files.file_network import FILE_SUFFIXES
from compile.networks.network import Network
from compile.networks.registry import NETWORKS
from compile.support.tables import print_table

SIDE = 256
"""Height and width of the picture that multiply-accumulates are counted for."""


def describe_networks() -> list[dict[str, Any]]:
    """Every network as plain data for JSON: its name, what it is, how many parameters it has, the
    multiply-accumulates of a picture of 256x256, and what sizes are multiples of."""
    return [describe_network(kind()) for kind in NETWORKS.values()]


def describe_network(network: Network) -> dict[str, Any]:
    """The same of one network; of the only size that it takes, if there is one."""
    with torch.device("meta"), torch.no_grad():
        net = network.architecture().eval()
        counter = FlopCounterMode(display=False)
        with counter, redirect_stdout(sys.stderr):  # A user's network may print.
            height, width = network.size or (SIDE, SIDE)
            net(torch.empty(1, network.channels, height, width, device="meta"))
    return {
        "name": network.title,
        "what": (type(network).__doc__ or "").splitlines()[0].rstrip("."),
        "parameters": sum(tensor.numel() for tensor in net.parameters()),
        "macs": counter.get_total_flops() // 2,
        "size_multiple": network.size_multiple,
    }


def print_networks(console: Console) -> None:
    """Print one line per network."""
    table = Table(caption=f"GMAC: of a picture of {SIDE}x{SIDE}", caption_justify="left")
    table.add_column("network", style="bold", no_wrap=True)
    table.add_column("what")
    for column in ("parameters", "GMAC", "sizes are multiples of"):
        table.add_column(column, justify="right")
    for facts in describe_networks():
        table.add_row(
            facts["name"],
            facts["what"],
            f"{facts['parameters']:,}",
            f"{facts['macs'] / 1e9:.2f}",
            str(facts["size_multiple"]),
        )
    table.add_row("FILE.py:FUNCTION", "your own: the function returns (module, example_inputs)")
    table.add_row(
        " ".join(f"FILE{suffix}" for suffix in FILE_SUFFIXES), "your own, quantized or not"
    )
    print_table(table, console)
