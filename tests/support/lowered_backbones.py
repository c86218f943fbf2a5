"""MQNet's int8 backbones, quantized, lowered and compiled, for the tests that look at them.

All four attentions go into one module, where equal kernels are one function: it takes little
longer to compile than a single backbone.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import tvm
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch.export import ExportedProgram
from tvm import relax

from compile import build_network
from compile.build_request import BuildRequest
from compile.frontend.import_program import import_program
from compile.imaging.read_photo import read_photo
from compile.networks.mqnet.attention import ATTENTIONS
from compile.networks.mqnet.entry import MQNetEntry
from compile.pipeline import PipelineOptions, emit, phases
from compile.support.build_cache import user_cache
from targets.load_target import load_target
from targets.spec import TargetSpec


@cache
def quantized_program(attention: str, height: int, width: int) -> ExportedProgram:
    """``mixed`` MQNet for uint8 [1, height, width, 3]; weights as bundled or else random. It is
    calibrated once for all tests and their sizes."""
    request = BuildRequest("host", "mixed", MQNetEntry(attention), (height, width))
    return build_network.quantized_program(request, user_cache(os.environ))


#: Threads that a backbone for vectors of so many bits is scheduled for.
_THREADS = {256: 1, 512: 2}


def options(bits: int) -> PipelineOptions:
    """The host with vectors of ``bits``: a narrower or, taken apart by LLVM, a wider machine."""
    return PipelineOptions(_with_vectors(bits), _THREADS[bits], True, Path("no records"))


def _with_vectors(bits: int) -> TargetSpec:
    """Instructions are never taken apart: a wider machine has no dot product here, a narrower one
    of x86 is AVX2's."""
    host = load_target("host")
    core, changed = host.processor, {}
    if bits > core.vector_bits:
        changed = {"vector_registers": 32, "dot_product": "none"}
    elif bits < core.vector_bits and core.machine == "EM_X86_64":
        changed = {"vector_registers": 16, "dot_product": "pmaddwd"}
        changed |= {"cpu": "x86-64-v3", "features": ()}
    return replace(host, processor=replace(core, vector_bits=bits, **changed))


@cache
def scheduled_backbones(height: int, width: int, bits: int) -> tvm.IRModule:
    """Every phase of the pipeline over functions ``backbone_ca``, ``backbone_csa`` and so on."""
    *before, lower, schedule, plan = phases(options(bits))
    assert [name for name, _ in before] == ["layout", "partition"], "the pipeline has new phases"
    combined = tvm.IRModule()
    for attention in ATTENTIONS:
        mod = import_program(quantized_program(attention, height, width))
        for _, passes in before:
            mod = tvm.transform.Sequential(passes)(mod)
        name = backbone_name(attention)
        combined[name] = mod["backbone"].with_attr("global_symbol", name)
    for _, passes in (lower, schedule, plan):
        combined = tvm.transform.Sequential(passes)(combined)
    return combined


@cache
def compiled_backbones(height: int, width: int, bits: int) -> relax.VirtualMachine:
    """:func:`scheduled_backbones` to be run on this machine."""
    executable = emit(scheduled_backbones(height, width, bits), options(bits))
    return relax.VirtualMachine(executable, tvm.cpu())


def backbone_name(attention: str) -> str:
    """What the function of an attention's backbone is called in these modules."""
    return f"backbone_{attention}"


def run_compiled(attention: str, image: NDArray[np.uint8], bits: int) -> NDArray[np.int8]:
    """The head's int8 input, NHWC, for ``image`` uint8 [1, H, W, 3]."""
    machine = compiled_backbones(image.shape[1], image.shape[2], bits)
    result = machine[backbone_name(attention)](tvm.runtime.tensor(image))
    assert hasattr(result, "numpy"), f"{len(result)} results: the head has too much"
    return result.numpy()


def photo_crop(path: Path, height: int, width: int) -> NDArray[np.uint8]:
    """uint8 [1, height, width, 3]: the middle of the photograph, shrunk until it just covers."""
    photo = ImageOps.fit(Image.fromarray(read_photo(path)), (width, height))
    return np.asarray(photo)[None].copy()
