"""The process that holds the RPC session on a device and asks it what the parent wants to know."""

from __future__ import annotations

import json
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from tvm.error import RPCError

from bench.device.engines import (
    DeviceEngine,
    TvmNetworkThere,
    last_line,
    load_uploaded,
    start_engine,
    tvm_version,
)
from bench.session.asked_process import NoAnswer, WorkerError
from bench.session.clock import measure_core
from compile.artefact.artefact import open_artefact
from compile.support.errors import MqnetError
from device.client.get_function import offered
from device.client.request import DeviceAddress, request_device

# TVM's ThreadGroup::AffinityMode: on the big cores, where there are big and little ones.
_BIG_CORES = 1


def serve_device(address: DeviceAddress, threads: int, pipe: Connection) -> None:
    """Greets with what the device says about itself ({} where it says nothing); then answers
    "start" with an engine's number and version, "output" and "time" of (number, argument),
    "time_calls" of (an artefact's folder, the parameters of :meth:`TvmNetworkThere.time_calls`) and
    "measure_core" of its target."""
    try:
        session = request_device(address)
        facts = _describe(session)
        _use_cores(session, threads)
    except (MqnetError, RuntimeError) as error:
        pipe.send((WorkerError, str(error) if isinstance(error, MqnetError) else last_line(error)))
        return
    pipe.send((None, facts))
    engines: list[DeviceEngine] = []

    def answer(question: str, value: Any) -> Any:
        if question == "start":
            engines.append(start_engine(session, value, facts))
            return len(engines) - 1, engines[-1].version
        if question == "time_calls":
            folder, *request = value
            network = TvmNetworkThere(session, open_artefact(folder), tvm_version(facts))
            return network.version, network.time_calls(*request)
        if question == "measure_core":
            load = partial(load_uploaded, session)
            return measure_core(value, load, session.cpu())
        number, argument = value
        if question == "output":
            return engines[number].output(argument)
        return engines[number].time_frames(argument)

    while True:
        try:
            question, value = pipe.recv()
        except EOFError:
            return
        try:
            reply = None, answer(question, value)
        except (MqnetError, WorkerError) as error:
            reply = WorkerError, str(error)
        except RPCError as error:
            reply = WorkerError, f"failed on the device: {last_line(error)}"
        except (RuntimeError, OSError):
            # TVM's own words are about its protocol, whatever the cause.
            reply = NoAnswer, "the device went away, or what ran there crashed"
        pipe.send(reply)


def _describe(session: Any) -> dict[str, Any]:
    machine = offered(session, "mqnet.machine")
    return json.loads(machine()) if machine else {}


def _use_cores(session: Any, threads: int) -> None:
    """Before anything is computed there: TVM's threads are made once."""
    use_cores = offered(session, "mqnet.use_cores")
    if use_cores:
        use_cores(threads)
    else:
        session.get_function("runtime.config_threadpool")(_BIG_CORES, threads)
