"""Tune a network's kernels for a target: measures how their loops are best cut, and records it."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console

from compile.networks.mqnet.attention_names import AttentionName
from compile.quantize.schemes import SchemeName
from compile.support.cli import run_command, set_up_logging, stderr

if TYPE_CHECKING:
    from compile.records.compact_log import CompactReport
    from compile.records.log_status import LogComparison, LogStatus


@dataclass(frozen=True)
class Options:
    """Tune a network's kernels for a target. What is measured is recorded at once in
    tuning_logs/, which builds for the target then use; Ctrl-C ends the session at any moment, and
    the same command goes on where it stopped.

    Example: python compile/tune.py --target host --size 256x256
    """

    target: str | None = None
    """Machine to tune for, by name or by the path of a target file of your own; `python
    compile/build.py --target help` lists them all."""

    instruction_set: str | None = None
    """Of --target host: an instruction set of this machine's, such as avx2 where it has more
    (docs/targets.md lists all); the widest it has unless given."""

    scheme: SchemeName | None = None
    """Precision, as of compile/build.py."""

    recipe: Path | None = None
    """TOML file of rules on top of a scheme, as of compile/build.py."""

    network: str = "mqnet"
    """Network whose kernels are tuned, by name, FILE.py:FUNCTION or a file, as of
    compile/build.py."""

    attention: AttentionName | None = None
    """Attention of MQNet's decoder: channel (unless given), both, spatial or none."""

    head: str | None = None
    """Path of the module of your network that keeps float activations, as of compile/build.py."""

    size: str | None = None
    """Height x width of the picture in pixels: kernels of another size are other kernels. 768x1280
    unless given, or that of your own example input or file."""

    trials: int = 4000
    """The most candidates; the session ends before, where less than 1 % is to be gained."""

    threads: int = 1
    """Threads that a kernel is measured with. What is best for one is nearly so for more, and one
    is disturbed less; every choice leaves tasks for as many threads as the target has."""

    logs: Path | None = None
    """Folder of the targets' logs; tuning_logs/ of this repository unless given. An installed
    package has ~/.local/share/mqnet-tvm/tuning_logs, where a log begins as a copy of what is
    shipped."""

    tracker: str | None = None
    """HOST:PORT of a TVM tracker: measure on devices (device/serve.py) and not on this machine."""

    key: str | None = None
    """Key of the devices at the tracker; all of them are used."""

    build_workers: str | None = None
    """tcp://HOST:PORT of a Dask scheduler whose workers build the candidates, instead of this
    machine: any number of machines with this project installed."""

    emulate: bool = False
    """Measure without the hardware, on emulated arm64 boards that the session starts by itself:
    their times are instructions counted and weighted by the target file, not those of a device."""

    cooldown: float = 0.0
    """Seconds that a device rests before each repetition of a measurement."""

    status: bool = False
    """Only show what the logs hold: what is tuned, by how much, when and on what device."""

    compare: tuple[Path, Path] | None = None
    """Only compare two logs, OLD and NEW, kernel by kernel: folders of one target's records."""

    compact: int | None = None
    """Only make the target's log smaller: keep so many of the fastest candidates of each kernel, of
    those that still fit it."""

    json: bool = False
    """Print a summary to stdout at the end."""

    verbose: Annotated[bool, tyro.conf.arg(aliases=["-v"])] = False
    """Say why a rewrite did not fire where it was expected."""


def main() -> None:
    """Entry point of `mqnet-tune` and of `python compile/tune.py`."""
    run_command(Options, _tune)


def _tune(options: Options) -> None:
    set_up_logging(options.verbose)
    from msgspec import to_builtins

    from compile.support.errors import MqnetError
    from targets.load_target import with_instruction_set

    result: object
    if options.status:
        result = _show_status(options)
    elif options.compare is not None:
        result = _compare(options, *options.compare)
    elif options.target is None:
        raise MqnetError("--target is missing: name a machine, such as --target host")
    else:
        target = with_instruction_set(options.target, options.instruction_set)
        if options.compact is not None:
            result = _compact(options, target, options.compact)
        else:
            result = _run(options, target)
    if options.json:
        # Names of kernels are strings of TVM's.
        print(json.dumps(to_builtins(result, enc_hook=str), indent=1))


def _run(options: Options, target: str) -> dict[str, Any]:
    # torch and TVM take seconds to import: only once the options are known to be sound.
    from compile.build_request import parse_size, scheme_of
    from compile.codegen.link.linkers import find_ndk
    from compile.networks.registry import find_network
    from compile.search.tune_network import tune_network
    from compile.search.tune_request import TuneRequest
    from device.emulated.arm64.make_root import default_root

    given = {"attention": options.attention, "head": options.head}
    network = find_network(options.network, given)
    request = TuneRequest(
        target=target,
        scheme=scheme_of(options.scheme, options.recipe, network),
        recipe=options.recipe,
        network=network,
        size=parse_size(options.size, network),
        threads=options.threads,
        trials=options.trials,
        logs=options.logs,
        tracker=options.tracker,
        key=options.key,
        cooldown=options.cooldown,
        ndk_compiler=find_ndk(os.environ),
        build_workers=options.build_workers,
        emulated_root=default_root(os.environ) if options.emulate else None,
    )
    return tune_network(request, stderr)


def _show_status(options: Options) -> list[LogStatus]:
    from compile.records.log_status import log_statuses, print_statuses

    statuses = log_statuses(options.logs)
    print_statuses(statuses, _console(options))
    return statuses


def _compare(options: Options, old: Path, new: Path) -> LogComparison:
    from compile.records.log_status import compare_logs, print_comparison

    comparison = compare_logs(old, new)
    print_comparison(comparison, _console(options))
    return comparison


def _console(options: Options) -> Console:
    """Where a table goes that is all that was asked for."""
    return stderr if options.json else Console()


def _compact(options: Options, target: str, keep: int) -> CompactReport:
    from compile.records.compact_log import compact_log
    from compile.records.log_folder import check_is_log_of, records_name
    from compile.records.log_places import writable_log
    from compile.records.session_file import read_session
    from targets.load_target import load_target

    name = records_name(load_target(target))
    folder = writable_log(name, options.logs)
    check_is_log_of(folder, read_session(folder), name)
    result = compact_log(folder, keep)
    lines = [*result.mended, f"{folder}: {result.after} of {result.before} records kept"]
    stderr.print("\n".join(lines), soft_wrap=True, highlight=False)
    return result


if __name__ == "__main__":
    main()
