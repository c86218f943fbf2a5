"""Runs a built network on this machine, through TVM's virtual machine."""

from __future__ import annotations

import json
import os
import time

import numpy as np
from numpy.typing import NDArray

from compile.artefact.reader import Artefact, check_runs_here
from compile.support.errors import MqnetError
from compile.support.frame import Frame, frame_of, picture_of
from device.runtime.artefact_device import network_layout
from device.runtime.opencl_device import describe_opencl
from device.runtime.tvm_network import TvmNetwork
from device.runtime.tvm_runtime import runtime_function

# TVM's ThreadGroup::AffinityMode: every thread may run on each of the cores that are named.
_SHARE_ALL_CORES = -3


class Session:
    """A loaded artefact; ``on_this_thread`` that of one thread that runs on whichever calls it.

    Attributes:
        threads: that run a frame: those asked for, or those of the manifest where the process may
            use as many cores.
        network: its libraries.

    Raises:
        ArtefactError: another machine's artefact, a library that does not load, or no device.
    """

    def __init__(
        self, artefact: Artefact, threads: int | None = None, on_this_thread: bool = False
    ) -> None:
        gpu = json.loads(describe_opencl()) if artefact.manifest.on_gpu else None
        check_runs_here(artefact, gpu)
        if on_this_thread:
            use_this_thread()
            self.threads = 1
        else:
            self.threads = use_threads(threads_here(artefact, threads))
        self.artefact = artefact
        self.network = TvmNetwork(artefact.library.parent, network_layout(artefact))

    def run(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """The network's output H, float32 [H,W,3], for ``image`` uint8 [H,W,3] of the artefact's
        size; and the seconds that the frame took, with what is copied between two devices.

        Raises:
            ArtefactError: a GPU refuses: a kernel does not compile, or its memory is full.
        """
        outputs, seconds = self.run_frame(frame_of(image))
        return picture_of(outputs), seconds

    def run_frame(self, frame: Frame) -> tuple[Frame, float]:
        """The outputs for the inputs ``frame`` of the manifest's shapes and dtypes; and the seconds
        that it took, with what is copied between two devices.

        Raises:
            ArtefactError: a GPU refuses: a kernel does not compile, or its memory is full.
        """
        self.network.set_inputs(frame)
        start = time.perf_counter()
        self.network.run()
        seconds = time.perf_counter() - start
        return self.network.outputs(), seconds


def threads_here(artefact: Artefact, threads: int | None) -> int:
    """How many ``threads`` run ``artefact`` in this process: those asked for, or those that it was
    built for where there are as many cores.

    Raises:
        MqnetError: more than the cores or the build's limit, or none.
    """
    cores = len(os.sched_getaffinity(0))
    if threads is None:
        return min(artefact.manifest.threads, cores)
    if threads > cores:
        raise MqnetError(
            f"threads {threads} is more than the {cores} cores that this process may use: ask "
            "for fewer"
        )
    check_threads(artefact, threads)
    return threads


def check_threads(artefact: Artefact, threads: int) -> None:
    """Raise where ``artefact`` was not made for so many ``threads``: the parallel loops of its
    kernels may have fewer iterations.

    Raises:
        MqnetError: more than the build's limit, or none.
    """
    if threads < 1:
        raise MqnetError(f"threads {threads} is not a positive number")
    most, folder = artefact.manifest.threads, artefact.library.parent
    if threads > most:
        raise MqnetError(
            f"threads {threads} is more than the {most} that {folder} was built for: build it "
            f"again with --threads {threads}"
        )


def use_threads(threads: int) -> int:
    """Let TVM's kernels run on ``threads`` threads when called from this one, placed by the system
    on the cores that the process may use; how many they are, which is no more than those cores.

    Left alone, TVM takes half of the cores of an x86-64 machine (it takes the rest for
    hyper-threads), counts those that the process may not use, and binds the calling thread to the
    first of them for good, and with it every process that is started later. The pool is made on
    its first use and never grows, so this must come first.
    """
    cores = [str(core) for core in sorted(os.sched_getaffinity(0))]
    runtime_function("runtime.config_threadpool")(_SHARE_ALL_CORES, threads, cores)
    return runtime_function("runtime.NumThreads")()


def use_this_thread() -> None:
    """Let TVM's kernels run on whichever thread calls them and on no other, until
    :func:`use_threads` is called: for networks that run at once, each in a thread that has called
    this.

    Else every such thread would get a pool of TVM's, whose threads look for work for a third of a
    second before they sleep.
    """
    cores = os.sched_getaffinity(0)
    runtime_function("runtime.config_threadpool")(_SHARE_ALL_CORES, 1, [str(min(cores))])
    os.sched_setaffinity(0, cores)  # Of this thread, which TVM has bound to that core.
