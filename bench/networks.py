"""Every network in every engine, one table: parameters, MACs, latency, memory, agreement."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from compile.support.cli import OUT, run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Options:
    """Time several networks, ours beside other engines, one interleaved session for each network;
    the table of the paper's comparison, made anew.

    A network that --out holds already is not measured again, so that Ctrl-C loses at most one.
    Writes networks.csv, networks.png and the session of each network, which bench/report.py reads.

    Example: python bench/networks.py --network unet --network hdrunet
    """

    network: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Network by name or FILE.py:FUNCTION, as of compile/build.py; may be repeated; every one of
    `--network help` there unless given."""

    size: str = "256x256"
    """Height x width in pixels, rounded up to what each network takes."""

    threads: int = 1
    """Threads per frame."""

    against: str = "all"
    """Other engines by commas, or all: those that run PyTorch's networks, and of those that read
    files what `make peers NETWORK="..."` has converted."""

    schemes: str = "mixed,int8,fp32"
    """Quantization schemes by commas, as of bench/latency.py."""

    seconds: float = 5
    """Measured time of each engine of a network."""

    out: Annotated[Path, OUT] = Path("build/networks")
    """Folder to write to."""

    json: bool = False
    """Print the rows to stdout instead of a table."""


def main() -> None:
    """Entry point of `mqnet-networks` and of `python bench/networks.py`."""
    run_command(Options, _measure)


def _measure(options: Options) -> None:
    set_up_logging(verbose=False)
    from bench.measure_networks import FILES, NetworksRequest, measure_networks, print_networks
    from compile.networks.registry import NETWORKS
    from compile.support.outputs import check_output_folder
    from compile.support.progress import Progress

    check_output_folder(options.out, FILES)
    request = NetworksRequest(
        networks=tuple(dict.fromkeys(options.network or NETWORKS)),
        size=options.size,
        threads=options.threads,
        against=options.against,
        schemes=options.schemes,
        seconds=options.seconds,
        out=options.out,
    )
    rows = measure_networks(request, Progress(stderr))
    if options.json:
        print(rows.to_json(orient="records", indent=1))
    else:
        print_networks(rows)
        print(options.out / FILES[0])


if __name__ == "__main__":
    main()
