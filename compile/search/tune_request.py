"""What a tuning session is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from compile.build_request import BuildRequest
from compile.networks.network import Network
from compile.support.check_positive import check_positive
from compile.support.errors import MqnetError


@dataclass(frozen=True)
class TuneRequest:
    """What to tune.

    Attributes:
        target, scheme: by name.
        network: whose kernels are tuned.
        size: (height, width) of the picture in pixels.
        threads: that a kernel is measured with.
        trials: the most candidates.
        logs: folder of the targets' logs; None for the user's own and those that are shipped.
        tracker: HOST:PORT of a TVM tracker, or None to measure on this machine.
        key: of the devices there, or None.
        cooldown: seconds that a device rests before each repetition.
        ndk_compiler: the Android NDK's clang, or None.
        build_workers: tcp://HOST:PORT of a Dask scheduler whose workers build, or None.
        emulated_root: of the emulated board that stands in for the devices, or None.
        recipe: file of rules on top of the scheme, or None.
    """

    target: str
    scheme: str
    network: Network
    size: tuple[int, int]
    threads: int
    trials: int
    logs: Path | None
    tracker: str | None = None
    key: str | None = None
    cooldown: float = 0.0
    ndk_compiler: Path | None = None
    build_workers: str | None = None
    emulated_root: Path | None = None
    recipe: Path | None = None

    def check(self) -> None:
        """Raise MqnetError where options exclude each other or a number is out of its range."""
        if (self.tracker is None) != (self.key is None):
            missing = "--key" if self.key is None else "--tracker"
            raise MqnetError(
                f"{missing} is missing: a device is named by --tracker HOST:PORT and --key KEY"
            )
        if self.emulated_root is not None:
            if self.tracker is not None:
                raise MqnetError("--emulate needs no --tracker: it starts one by itself")
            if self.threads != 1:
                raise MqnetError(
                    f"threads {self.threads} cannot be emulated: instructions are counted for one"
                )
        if self.cooldown < 0:
            raise MqnetError(f"cooldown {self.cooldown:g} is below zero")
        check_positive(trials=self.trials, threads=self.threads)
        cores = len(os.sched_getaffinity(0))
        if self.tracker is None and self.threads > cores:
            raise MqnetError(
                f"threads {self.threads} is more than the {cores} cores that this process may use: "
                "ask for fewer"
            )

    @property
    def build(self) -> BuildRequest:
        """The network whose kernels are tuned, as a build asks for it."""
        return BuildRequest(self.target, self.scheme, self.network, self.size, recipe=self.recipe)
