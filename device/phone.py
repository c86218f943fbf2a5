"""Runs builds on an Android phone through adb: nothing is installed there, and nothing left."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import tyro

from compile.support.cli import OUTPUT, run_command, set_up_logging, stderr

if TYPE_CHECKING:
    from bench.session.run_file import RunFile

_FOLDER = Path("build/latency")
# A frame of 768x1280 on an old core, on every number of threads, with minutes to spare.
_CHECK_SECONDS = 600.0


@dataclass(frozen=True)
class Bench:
    """Time builds on a phone, in turns, into a file that bench/report.py takes.

    Example: python device/phone.py bench build/android-arm64-mixed-ca-768x1280 --cores big
    """

    artefacts: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of builds with their standalone form (compile/build.py --standalone)."""

    serial: str | None = None
    """Phone, as `adb devices` lists it; $ANDROID_SERIAL, or the only one, unless given."""

    cores: str = "all"
    """Cores that run it: all, big (the fastest), little (the slowest), mid (neither), or numbers
    such as 4-7."""

    threads: str | None = None
    """Threads per frame, by commas; 1, 2, 4 and so on, as many as the build and the cores allow,
    unless given."""

    seconds: float = 10
    """Measured time of each build with each number of threads."""

    cool: float | None = None
    """Degrees Celsius that the phone has to cool down to before each turn."""

    output: Annotated[Path | None, OUTPUT] = None
    """File for the rows, the single times and the environment, as JSON; a new one below
    build/latency unless given."""

    keep: bool = False
    """Leave the program on the phone, so that it is not pushed again."""

    json: bool = False
    """Print what the file holds to stdout instead of a table."""


@dataclass(frozen=True)
class Check:
    """Say whether a phone computes what the compiler did, bit for bit: exit code 1 where it does
    not.

    Example: python device/phone.py check build/android-arm64-mixed-ca-768x1280
    """

    artefact: tyro.conf.Positional[Path]
    """Folder of a build with its standalone form (compile/build.py --standalone)."""

    serial: str | None = None
    """Phone, as `adb devices` lists it; $ANDROID_SERIAL, or the only one, unless given."""

    cores: str = "all"
    """Cores that run it, as of bench."""

    threads: str | None = None
    """Threads per frame, by commas; each number up to what the build and the cores allow unless
    given."""

    keep: bool = False
    """Leave the program on the phone, so that it is not pushed again."""

    json: bool = False
    """Print what was found as JSON to stdout."""


@dataclass(frozen=True)
class Serve:
    """Offer a phone to a TVM tracker on this machine until Ctrl-C: for compile/tune.py.

    Pushes the native RPC server, which needs nothing on the phone, and removes it in the end. It
    runs what the tracker's clients send it, with the rights of adb's shell.

    Example: python device/phone.py serve --tracker 127.0.0.1:9190 --key my-phone
    """

    tracker: str
    """HOST:PORT of the tracker."""

    key: str
    """Name that the tracker knows the phone by."""

    serial: str | None = None
    """Phone, as `adb devices` lists it; $ANDROID_SERIAL, or the only one, unless given."""


@dataclass(frozen=True)
class List:
    """List the phones that adb knows, and what they are."""

    json: bool = False
    """Print JSON instead of a table."""


Options = (
    Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Serve, tyro.conf.subcommand("serve")]
    | Annotated[List, tyro.conf.subcommand("list")]
)


def main() -> None:
    """Entry point of `mqnet-phone` and of `python device/phone.py`."""
    # What a union of types is to a type checker, PEP 747 will say.
    run_command(cast("type[Bench | Check | Serve | List]", Options), _run)


def _run(options: Bench | Check | Serve | List) -> None:
    set_up_logging(verbose=False)
    match options:
        case Bench():
            _bench(options)
        case Check():
            _check(options)
        case Serve():
            _serve(options)
        case List():
            _list(options)


def _bench(options: Bench) -> None:
    from bench.measure_phone import PhoneRequest, measure_phone
    from bench.session.print_rows import print_rows
    from bench.session.run_file import new_run_file
    from compile.support.atomic import make_folder, write_atomically
    from compile.support.outputs import check_output_files
    from compile.support.progress import Progress
    from device.adb.adb import Adb

    out = options.output or new_run_file(_FOLDER, "phone", datetime.now())
    check_output_files([out], options.artefacts)
    request = PhoneRequest(
        artefacts=options.artefacts,
        serial=_serial(options.serial),
        cores=options.cores,
        threads=options.threads,
        seconds=options.seconds,
        cool=options.cool,
        keep=options.keep,
    )

    def keep(run: RunFile) -> None:
        make_folder(out.parent)
        write_atomically(out, run.as_json().encode())
        if options.json:
            print(run.as_json())
        else:
            print_rows(run)
            print(out)

    measure_phone(request, Adb.find(), keep, Progress(stderr))


def _check(options: Check) -> None:
    from compile.artefact.reader import open_artefact
    from device.adb.adb import Adb
    from device.adb.phone_facts import read_facts
    from device.adb.phones import choose_phone
    from device.adb.pushed_program import pushed_program
    from device.adb.standalone_program import check_runs, program_of, read_report, run_or_refuse

    program = program_of(open_artefact(options.artefact))
    facts = read_facts(choose_phone(Adb.find(), _serial(options.serial)))
    check_runs(facts, program)
    arguments = ["check", "--cores", options.cores]
    arguments += [] if options.threads is None else ["--threads", options.threads]
    arguments += ["--json"] if options.json else []
    with pushed_program(facts.phone, program, options.keep) as pushed:
        result = run_or_refuse(pushed, arguments, _CHECK_SECONDS)
    if options.json:
        told = read_report(pushed, result.out, dict[str, Any])
        print(json.dumps({"machine": facts.cpu, **told}, indent=2))
    else:
        print(facts.cpu)
        print(result.out.strip())
    if result.code:
        raise SystemExit(result.code)


def _serve(options: Serve) -> None:
    from compile.support.build_cache import user_cache
    from compile.support.progress import Progress
    from compile.support.scratch_folder import scratch_folder
    from device.adb.adb import Adb
    from device.adb.phone_facts import read_facts
    from device.adb.phones import choose_phone
    from device.adb.served_phone import serve_phone
    from device.server.native.build_server import SERVER, build_native_server
    from device.server.tracker import tracker_address

    tracker = tracker_address(options.tracker)
    facts = read_facts(choose_phone(Adb.find(), _serial(options.serial)))
    arch = "x86_64" if "x86_64" in facts.abis else "aarch64"
    facts.check_runs(f"EM_{arch.upper()}")
    progress = Progress(stderr)
    with scratch_folder("mqnet-phone-") as work:
        server = work / SERVER
        with progress.phase("server"):
            build_native_server(arch, server, user_cache(os.environ))
        progress.say(facts.cpu)
        serve_phone(facts.phone, server, tracker, options.key, progress.say)


def _list(options: List) -> None:
    from compile.support.errors import TargetError
    from device.adb.adb import Adb
    from device.adb.phones import NO_PHONE
    from device.adb.show_phones import describe_phones, print_phones

    phones = describe_phones(Adb.find())
    if options.json:
        print(json.dumps(phones, indent=2))
        return
    if not phones:
        raise TargetError(NO_PHONE)
    print_phones(phones)


def _serial(given: str | None) -> str | None:
    """Of the phone: what is given, or what adb itself looks at."""
    return given or os.environ.get("ANDROID_SERIAL") or None


if __name__ == "__main__":
    main()
