"""What a latency session asks of an engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import ClassVar

from compile.artefact.manifest import Coverage
from compile.support.frame import Frame


@dataclass(frozen=True)
class Job:
    """One network to be timed, as plain data that a worker process is given.

    Attributes:
        engine, scheme: by name.
        size: (height, width) in pixels.
        threads: per frame.
        artefact: folder of our own build; None for other engines.
        files: folder of other engines' files of the network; None for MQNet's own.
        network: by name.
        parameters: of the network.
        build: what tells it from another job of the same engine, scheme, size and threads; "" where
            there is none.
        weight_bytes, coverage: of our own build, as its manifest has them.
        planned_bytes: of activations, which our own build's memory plan fixes; None for other
            engines, which do not tell.
        on_gpu: whether a GPU computes, whose memory is not that of the process.
    """

    engine: str
    scheme: str
    size: tuple[int, int]
    threads: int
    artefact: Path | None = None
    planned_bytes: int | None = None
    weight_bytes: int | None = None
    coverage: Coverage | None = None
    on_gpu: bool = False
    build: str = ""
    files: Path | None = None
    network: str = "mqnet"
    parameters: Mapping[str, str] = field(default_factory=dict)


class Engine(ABC):
    """A network in an engine, in a process of its own that is pinned to ``job.threads`` cores.

    What each engine would do once per photograph anyway (bytes to its input format) happens in
    ``set_inputs`` and is not timed.

    Attributes:
        name: what a command line and a file call it.
        schemes: the quantization schemes that it has of the network.
        runs_on_gpu: whether it computes on a GPU only; it is timed beside GPUs then. Our own build
            computes where its target does.
        runs_on_device: whether ``bench/session/device.py`` knows how to run it on a device.
        is_ours: whether it runs a build of this project, which is made for the session.
        image_weights: of ours, whether the build reads its int8 weights from images.
        exact_threads: of ours, whether the build is made for ``job.threads``, and not for the most
            that are asked for; such an engine is timed only where it is named.
        standalone: of ours, whether the build has its standalone form, which runs on processors;
            such an engine is timed only where it is named, too.
        takes_any_network: whether it runs any network of PyTorch by itself.
        reads_files: whether it runs files that :mod:`bench.peers` has converted.
        packages: modules that it is imported with, before its start is timed.
        marker: matplotlib's, of its points in a figure.
        version: of the engine's package, once a network is loaded.
    """

    name: ClassVar[str]
    schemes: ClassVar[tuple[str, ...]]
    runs_on_gpu: ClassVar[bool] = False
    runs_on_device: ClassVar[bool] = False
    is_ours: ClassVar[bool] = False
    image_weights: ClassVar[bool] = False
    exact_threads: ClassVar[bool] = False
    standalone: ClassVar[bool] = False
    takes_any_network: ClassVar[bool] = False
    reads_files: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]]
    marker: ClassVar[str] = "x"

    version: str

    def import_packages(self) -> None:
        """Import what it is made of.

        Raises:
            ModuleNotFoundError: the engine is not installed.
        """
        for package in self.packages:
            import_module(package)

    @abstractmethod
    def files(self, job: Job) -> tuple[Path, ...]:
        """List the files of the network of ``job`` that it loads.

        Raises:
            MqnetError: one is missing or damaged.
        """

    @abstractmethod
    def load(self, job: Job) -> None:
        """Load the network of ``job``.

        Raises:
            MqnetError: its file is missing or damaged.
        """

    @abstractmethod
    def set_inputs(self, frame: Frame) -> None:
        """Take ``frame``, of a network of photographs one of uint8 [1,H,W,C], as the inputs of the
        runs that follow."""

    @abstractmethod
    def run(self) -> None:
        """Compute one frame: this is timed."""

    @abstractmethod
    def outputs(self) -> Frame:
        """Return those of the last frame, of MQNet H, float32 [1,H,W,3]."""
