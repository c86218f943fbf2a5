"""A frame on a GPU as the tables of the generated source: buffers, and launches in order."""

from __future__ import annotations

from typing import Any

from compile.codegen.standalone.gpu_launches import GpuCode, GpuKernel, Launch
from compile.codegen.standalone.read_plan import FrameCall, FramePlan
from compile.support.errors import GraphError
from targets.spec import TargetSpec

_HALF = "EXTENSION cl_khr_fp16 : enable"


def gpu_frame(plan: FramePlan, code: GpuCode, spec: TargetSpec, symbol: str) -> dict[str, Any]:
    """Lay out the frame of ``plan``, whose kernels are ``code``, for the template.

    Tensors that begin at the same place of the plan's memory share a buffer: they are views of one
    another, or live at different times. Scratch memory is shared by all calls.

    Args:
        plan: of the frame.
        code: its kernels.
        spec: the target.
        symbol: of the kernels' source.

    Raises:
        GraphError: a kernel reads something as an image that is no constant.
    """
    assert spec.gpu is not None
    buffers = _Buffers()
    tensors = [buffers.number(tensor.place, tensor.offset, tensor.bytes) for tensor in plan.tensors]
    arguments: list[tuple[int, int]] = []
    launches = []
    for number, call in enumerate(plan.calls):
        kernel = code.kernels[call.kernel]
        for launch in kernel.launches:
            first = len(arguments)
            arguments += _arguments(call, kernel, launch, tensors, buffers)
            launches.append(
                {
                    "kernel": launch.kernel,
                    "call": number,
                    "first": first,
                    "count": len(launch.arguments),
                    "items": [a * b for a, b in zip(launch.groups, launch.items, strict=True)],
                    "group": launch.items,
                }
            )
    return {
        "source_symbol": symbol,
        "source_bytes": len(code.source.encode()),
        "buffers": buffers.rows,
        "arguments": arguments,
        "launches": launches,
        "tensor_buffers": tensors,
        "work_group": spec.gpu.work_group,
        "integer_dot_product": int(spec.gpu.integer_dot_product),
        "half": int(_HALF in code.source),
    }


class _Buffers:
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._numbers: dict[tuple[str, int], int] = {}

    def number(self, place: str, offset: int, size: int) -> int:
        """The buffer of what is there, as large as the largest of it."""
        if (place, offset) not in self._numbers:
            self._numbers[place, offset] = len(self.rows)
            kind = "arena" if place == "scratch" else place
            row = {"place": f"GPU_{kind.upper()}", "offset": offset, "bytes": 0, "is_image": 0}
            self.rows.append(row)
        number = self._numbers[place, offset]
        self.rows[number]["bytes"] = max(self.rows[number]["bytes"], size)
        return number


def _arguments(
    call: FrameCall, kernel: GpuKernel, launch: Launch, tensors: list[int], buffers: _Buffers
) -> list[tuple[int, int]]:
    found = []
    for argument, is_image in zip(launch.arguments, launch.images, strict=True):
        if argument < 0:
            piece = -1 - argument
            number = buffers.number("scratch", piece, kernel.scratch[piece])
        else:
            number = tensors[call.arguments[argument]]
        if is_image:
            if buffers.rows[number]["place"] != "GPU_WEIGHTS":
                raise GraphError(f"kernel {launch.kernel} reads an image that is no constant")
            buffers.rows[number]["is_image"] = 1
        found.append((number, int(is_image)))
    return found
