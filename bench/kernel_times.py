"""Where the time of a frame goes: kernel by kernel, beside what the machine can do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from compile.support.cli import run_command, set_up_logging

if TYPE_CHECKING:
    from bench.profile.kernels_file import KernelsFile

# The longest name of a layer does not break.
_LAYER_WIDTH = 48


@dataclass(frozen=True)
class Options:
    """Time every kernel of an artefact on one core or a GPU: the layer of the network that it
    computes, its share of the frame, multiply-accumulates per second, and share of the core's peak
    at the clock that it really has.

    Example: python bench/kernel_times.py build/host-mixed-ca-768x1280 --plot roofline.png

    On a device (bench/README.md): python bench/kernel_times.py build/linux-mali-mixed-ca-768x1280
    --tracker 127.0.0.1:9190 --key my-board
    """

    artefact: tyro.conf.Positional[Path]
    """Folder of a build for this machine, or for the device."""

    frames: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 20
    """Timed frames, after 3 that are not."""

    rows: int = 15
    """Rows of the table; the JSON has all."""

    litert: bool = False
    """Also the kernels of LiteRT's network of the same scheme, as it times them itself; on this
    machine only."""

    tracker: str | None = None
    """HOST:PORT of a TVM tracker, to time a device that device/serve.py has registered there."""

    key: str | None = None
    """Name that the tracker knows the device by."""

    plot: Path | None = None
    """PNG to write: each kernel's speed over its arithmetic intensity, under the rooflines."""

    json: bool = False
    """Print all calls as JSON to stdout instead of a table; bench/report.py --kernels takes it."""


def main() -> None:
    """Entry point of `python bench/kernel_times.py`."""
    run_command(Options, _time)


def _time(options: Options) -> None:
    set_up_logging(verbose=False)
    from bench.peers.peer_files import peer_file
    from bench.profile.describe_calls import describe_calls
    from bench.profile.families import litert_families, seconds_by_family
    from bench.profile.kernels_file import KernelsFile
    from bench.profile.litert_profile import profile_litert
    from bench.profile.measure_calls import measure_here, measure_there
    from compile.artefact.artefact import open_artefact
    from compile.support.errors import MqnetError
    from device.client.address import device_address

    if options.frames < 1:
        raise MqnetError(f"frames {options.frames} is not a positive number")
    artefact = open_artefact(options.artefact)
    address = device_address(options.tracker, options.key)
    if address is not None and options.litert:
        raise MqnetError(
            f"LiteRT times its own kernels on this machine only, and {address} is another: leave "
            "--litert out"
        )
    measured = (
        measure_here(artefact, options.frames)
        if address is None
        else measure_there(artefact, options.frames, address)
    )
    calls, limits = describe_calls(artefact, measured.calls), measured.limits
    manifest = artefact.manifest
    target, (height, width) = manifest.target, artefact.size
    # The clock is the processor's; a GPU's is not known.
    peaks = {
        kind: 0.0 if manifest.on_gpu else peak * limits.clock_hz
        for kind, peak in (("int8", target.peak_int8_macs), ("fp32", target.peak_fp32_macs))
    }
    families = {"tvm": seconds_by_family((call.family, call.seconds) for call in calls)}
    if options.litert:
        name = f"litert-{manifest.scheme}-{height}x{width}.tflite"
        families["litert"] = litert_families(profile_litert(peer_file(name), options.frames))
    kernels = KernelsFile(
        network={
            "scheme": manifest.scheme,
            "size": f"{height}x{width}",
            "target": target.name,
            "sha256": manifest.files[artefact.library.name].sha256,
        },
        calls=tuple(calls),
        families=families,
        machine=asdict(limits) | {"peak_macs_per_second": peaks},
        environment=measured.environment | {"engine": f"TVM {measured.version}"},
    )
    if options.plot is not None:
        _plot(kernels, options.plot)
    if options.json:
        print(kernels.as_json())
    else:
        _print_table(kernels, options.rows)
        _print_families(families)
        copies = limits.copy_bytes_per_second / 1e9
        print(f"{limits.clock_hz / 1e9:.2f} GHz, copies {copies:.1f} GB/s")


def _print_table(kernels: KernelsFile, rows: int) -> None:
    from rich.console import Console
    from rich.table import Table

    peak = kernels.machine["peak_macs_per_second"]["int8"]
    summary = f"{kernels.seconds * 1e3:.1f} ms in {len(kernels.calls)} kernel calls, one thread"
    table = Table(
        title=f"{summary}: {kernels.environment['cpu']}, {kernels.environment['engine']}",
        caption="peak: of int8 arithmetic, also for kernels that compute in float",
    )
    table.add_column("layer", min_width=_LAYER_WIDTH)
    for column in ("kernel", "writes"):
        table.add_column(column, overflow="fold")
    for column in ("ms", "share", "MMAC", "GMAC/s", "peak", "schedule"):
        table.add_column(column, justify="right", no_wrap=True)
    for call in sorted(kernels.calls, key=lambda call: -call.seconds)[:rows]:
        table.add_row(
            ", ".join(call.layers),
            call.name,
            call.output,
            f"{call.seconds * 1e3:.2f}",
            f"{call.seconds / kernels.seconds:.1%}",
            f"{call.macs / 1e6:.1f}" if call.macs else "",
            f"{call.macs_per_second / 1e9:.1f}" if call.macs else "",
            f"{call.macs_per_second / peak:.0%}" if call.macs and peak else "",
            call.schedule,
        )
    Console(width=160).print(table)


def _print_families(families: dict[str, dict[str, float]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="milliseconds per frame by kind of kernel, one thread")
    table.add_column("kind")
    for engine in families:
        table.add_column(engine, justify="right")
    for kind in dict.fromkeys(kind for times in families.values() for kind in times):
        table.add_row(kind, *(f"{times.get(kind, 0) * 1e3:.2f}" for times in families.values()))
    table.add_row("all", *(f"{sum(times.values()) * 1e3:.2f}" for times in families.values()))
    Console(width=140).print(table)


def _plot(kernels: KernelsFile, path: Path) -> None:
    from bench.page.roofline import roofline
    from compile.support.atomic import atomic_path

    with atomic_path(path) as beside:
        roofline(kernels).savefig(beside, dpi=110)


if __name__ == "__main__":
    main()
