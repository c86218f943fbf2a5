"""How far from the best configuration a tuning session is after so many candidates."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from compile.networks.mqnet.attention_names import AttentionName
from compile.quantize.schemes import SchemeName
from compile.support.cli import OUT, run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Options:
    """Measure every configuration of a network's largest kernels, then say how much longer than
    with the best of them a kernel takes behind 10, 25, 50 and 100 candidates of a tuning session:
    of one that knows nothing at first, and of ones that begin with another target's log. Sessions
    are replayed on what was measured, so many seeds cost little. Beside them, what stock
    MetaSchedule finds in its generic space. Ctrl-C ends it at any moment; the same command goes on
    where it stopped.

    Example: python bench/regret.py --target cortex-a55 --emulate --after cortex-a76
    """

    target: str
    """Machine whose kernels are measured; `python compile/build.py --target help` lists them."""

    scheme: SchemeName | None = None
    """Precision, as of compile/build.py."""

    network: str = "mqnet"
    """Network, as of compile/build.py."""

    attention: AttentionName | None = None
    """Attention of MQNet's decoder: channel (unless given), both, spatial or none."""

    size: str | None = "256x256"
    """Height x width of the picture in pixels."""

    kernels: int = 8
    """How many kernels: those with the most multiply-accumulates in a frame."""

    trials: tyro.conf.UseAppendAction[tuple[int, ...]] = (10, 25, 50, 100)
    """Number of candidates of a kernel behind which the regret is told; may be repeated."""

    seeds: int = 10
    """Sessions replayed for each number, which differ by what is drawn at random."""

    turns: int = 3
    """How often each candidate is measured; the middle one counts. Emulated boards count once."""

    after: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Log that sessions begin with, by the name of a folder of tuning_logs/ or by its path, such as
    cortex-a76; may be repeated, each is a row."""

    metaschedule: int = 64
    """Candidates of each kernel that stock MetaSchedule is given; 0 leaves it out."""

    tracker: str | None = None
    """HOST:PORT of a TVM tracker: measure on devices, as of compile/tune.py."""

    key: str | None = None
    """Key of the devices at the tracker."""

    emulate: bool = False
    """Measure on emulated arm64 boards, as of compile/tune.py: cycles of a model, no times."""

    out: Annotated[Path, OUT] = Path("build/regret")
    """Folder for regret-TARGET.csv and .png, and for the log of what was measured."""

    json: bool = False
    """Print everything as JSON to stdout instead of tables."""


def main() -> None:
    """Entry point of `mqnet-regret` and of `python bench/regret.py`."""
    run_command(Options, _find)


def _find(options: Options) -> None:
    set_up_logging(verbose=False)
    # torch and TVM take seconds to import: only once the options are known to be sound.
    from bench.exhaustive.find_regret import find_regret
    from bench.exhaustive.regret_request import RegretRequest
    from bench.exhaustive.write_regret import print_regret, write_regret
    from compile.build_request import parse_size, scheme_of
    from compile.networks.registry import find_network
    from compile.search.tune_request import TuneRequest
    from compile.support.outputs import check_output_folder
    from device.emulated.arm64.make_root import default_root

    check_output_folder(options.out)
    network = find_network(options.network, {"attention": options.attention})
    tune = TuneRequest(
        target=options.target,
        scheme=scheme_of(options.scheme, None, network),
        network=network,
        size=parse_size(options.size, network),
        threads=1,
        trials=max(options.trials, default=1),
        logs=options.out,
        tracker=options.tracker,
        key=options.key,
        emulated_root=default_root(os.environ) if options.emulate else None,
    )
    request = RegretRequest(
        tune,
        options.kernels,
        tuple(sorted(options.trials)),
        options.seeds,
        1 if options.emulate else options.turns,
        options.after,
        options.metaschedule,
    )
    regrets = find_regret(request, options.out, stderr)
    write_regret(regrets, options.out)
    if options.json:
        print(json.dumps(regrets.as_json(), indent=1))
    else:
        print_regret(regrets)


if __name__ == "__main__":
    main()
