"""Everything that ``bench/kernel_times.py`` does once its options are read."""

from __future__ import annotations

from pathlib import Path

from bench.peers.peer_files import litert_name, peer_file
from bench.profiling.families import litert_families, seconds_by_family
from bench.profiling.join_calls import join_calls
from bench.profiling.kernels_file import BuiltNetwork, KernelsFile, MachineLimits
from bench.profiling.litert_profile import profile_litert
from bench.profiling.measure_calls import measure_here, measure_there
from bench.session.rows import size_text
from compile.artefact.reader import open_artefact
from compile.support.check_positive import check_positive
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from device.client.address import DeviceAddress


def time_kernels(
    folder: Path,
    frames: int,
    device: DeviceAddress | None,
    progress: Progress,
    litert: bool = False,
) -> KernelsFile:
    """Time every kernel of the build in ``folder``, on this machine or on ``device``.

    Args:
        folder: of a build.
        frames: that are timed.
        device: that computes; None: this machine.
        progress: is told each step.
        litert: also time the kernels of LiteRT's network of the same scheme and size, here.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    check_positive(frames=frames)
    artefact = open_artefact(folder)
    if device is not None and litert:
        raise MqnetError(
            f"LiteRT times its own kernels on this machine only, and {device} is another: leave "
            "--litert out"
        )
    if device is None:
        measured = measure_here(artefact, frames, progress)
    else:
        measured = measure_there(artefact, frames, device, progress)
    calls, limits = join_calls(artefact, measured.calls), measured.limits
    manifest, target = artefact.manifest, artefact.manifest.target
    families = {"tvm": seconds_by_family((call.family, call.seconds) for call in calls)}
    if litert:
        file = peer_file(litert_name(manifest.scheme, artefact.size))
        with progress.phase("LiteRT"):
            families["litert"] = litert_families(profile_litert(file, frames))
    # The clock is the processor's; a GPU's is not known.
    clock_hz = 0.0 if manifest.on_gpu else limits.clock_hz
    return KernelsFile(
        BuiltNetwork(
            manifest.scheme,
            size_text(artefact.size),
            f"{target.name} ({target.variant})" if target.variant else target.name,
            manifest.files[artefact.library.name].sha256,
        ),
        tuple(calls),
        families,
        MachineLimits(
            limits.clock_hz,
            limits.copy_bytes_per_second,
            {"int8": target.peak_int8_macs * clock_hz, "fp32": target.peak_fp32_macs * clock_hz},
        ),
        measured.environment | {"engine": f"TVM {measured.version}"},
    )
