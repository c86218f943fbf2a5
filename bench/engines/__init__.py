"""The engines that are timed, one file each, and the registry that names them.

Each file has one class, an :class:`bench.engines.engine.Engine`, and imports its own runtime: an
engine that is not installed is a row that says so.
"""

from __future__ import annotations

from importlib import import_module

from bench.engines.engine import Engine

_CLASSES = {
    "tvm": "bench.engines.tvm_artefact:TvmArtefact",
    # On a GPU, and with its int8 weights in images.
    "tvm-images": "bench.engines.tvm_artefact:TvmArtefact",
    "litert": "bench.engines.litert:LiteRT",
    "litert-gpu": "bench.engines.litert_gpu:LiteRTGpu",
    "onnxruntime": "bench.engines.onnx_runtime:OnnxRuntime",
    "openvino": "bench.engines.open_vino:OpenVino",
    "pytorch": "bench.engines.pytorch_eager:PyTorchEager",
    "pytorch-compiled": "bench.engines.pytorch_compiled:PyTorchCompiled",
    "tvm-stock": "bench.engines.tvm_stock:TvmStock",
}

OURS = ("tvm", "tvm-images")
"""Of the engines, those that a build is made for."""

FOR_GPUS = ("tvm-images", "litert-gpu")
"""Of the engines, those that are timed beside a GPU only."""

SCHEMES: dict[str, tuple[str, ...]] = {
    "tvm": ("mixed", "mixed-fp16", "fp32", "fp16", "w8a32", "int8"),
    "tvm-images": ("mixed", "mixed-fp16", "int8"),
    "litert": ("mixed", "fp32", "fp16", "w8a32", "w8a16", "int8"),
    # Of bytes in and out its shaders are not valid, and it refuses w8a16.
    "litert-gpu": ("mixed", "fp32", "fp16", "w8a32"),
    "onnxruntime": ("mixed", "fp32", "int8"),
    "openvino": ("mixed", "fp32", "int8"),
    "pytorch": ("fp32",),
    "pytorch-compiled": ("fp32",),
    "tvm-stock": ("fp32",),
}
"""Engine by name, and the quantization schemes that it has of the network."""


def engine_class(name: str) -> type[Engine]:
    """The class of the engine called ``name``.

    Raises:
        ImportError: its runtime is not installed.
    """
    module, _, attribute = _CLASSES[name].partition(":")
    return getattr(import_module(module), attribute)
