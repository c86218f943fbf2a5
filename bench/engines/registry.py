"""The engines that can be timed, by name. A new one is a file beside this one and a line here."""

from __future__ import annotations

from bench.engines.engine import Engine
from bench.engines.litert import LiteRT
from bench.engines.litert_gpu import LiteRTGpu
from bench.engines.onnx_runtime import OnnxRuntime
from bench.engines.open_vino import OpenVino
from bench.engines.pytorch_compiled import PyTorchCompiled
from bench.engines.pytorch_eager import PyTorchEager
from bench.engines.tvm_artefact import TvmArtefact, TvmExact, TvmImages
from bench.engines.tvm_standalone import TvmStandalone
from bench.engines.tvm_stock import TvmStock
from compile.support.errors import MqnetError

ENGINES: dict[str, type[Engine]] = {
    engine.name: engine
    for engine in (
        TvmArtefact,
        TvmImages,
        TvmExact,
        TvmStandalone,
        LiteRT,
        LiteRTGpu,
        OnnxRuntime,
        OpenVino,
        PyTorchEager,
        PyTorchCompiled,
        TvmStock,
    )
}
"""In the order of a table, ours first."""


def engine_named(name: str) -> type[Engine]:
    """Return the class of the engine called ``name``.

    Raises:
        MqnetError: there is none of that name.
    """
    if name not in ENGINES:
        raise MqnetError(f"unknown engine {name!r}: choose of {', '.join(ENGINES)}, or all")
    return ENGINES[name]


def is_ours(name: str) -> bool:
    """Return whether ``name`` is that of one of our builds; a file may name engines of old."""
    return name in ENGINES and ENGINES[name].is_ours
