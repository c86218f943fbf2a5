"""Kernels for tests of the native RPC server: two that are right, and those of a C file that are
not."""

from __future__ import annotations

from pathlib import Path

import tvm
from command_line import REPOSITORY
from tvm.script import tirx as T

from compile.codegen.link.link import ExportLinker
from compile.codegen.standalone.zig import musl, run_zig
from targets.describe_target import tvm_target
from targets.load_target import load_target


@T.prim_func(s_tir=True)
def addition(
    a: T.Buffer((1000,), "float32"),
    b: T.Buffer((1000,), "float32"),
    c: T.Buffer((1000,), "float32"),
):
    T.func_attr({"global_symbol": "addition"})
    for i in T.parallel(1000):
        with T.sblock("c"):
            vi = T.axis.remap("S", [i])
            c[vi] = T.exp(a[vi]) + b[vi]


@T.prim_func(s_tir=True)
def convolution(
    data: T.Buffer((1, 10, 10, 16), "int8"),
    weight: T.Buffer((3, 3, 16, 8), "int8"),
    out: T.Buffer((1, 8, 8, 8), "int32"),
):
    T.func_attr({"global_symbol": "convolution"})
    for y, x, c, i, j, k in T.grid(8, 8, 8, 3, 3, 16):
        with T.sblock("out"):
            vy, vx, vc, vi, vj, vk = T.axis.remap("SSSRRR", [y, x, c, i, j, k])
            with T.init():
                out[0, vy, vx, vc] = 0
            out[0, vy, vx, vc] = out[0, vy, vx, vc] + T.Cast(
                "int32", data[0, vy + vi, vx + vj, vk]
            ) * T.Cast("int32", weight[vi, vj, vk, vc])


def build_kernels(target: str, path: Path, stock: bool = False) -> Path:
    """Both right ones in a library; ``stock``: linked as TVM does without this project."""
    spec = load_target(target)
    module = tvm.IRModule({"addition": addition, "convolution": convolution})
    built = tvm.compile(module, target=tvm_target(spec, 1))
    options = {} if stock else {"fcompile": ExportLinker(spec)}
    built.export_library(str(path), **options)
    return path


def build_bad_kernels(arch: str, path: Path, main: str = "add") -> Path:
    """Those of ``bad_kernels.c``, each of three float32 tensors of 64 numbers, as a shared library
    or as an object file; ``main`` is what the one does that a tuner calls."""
    source = str(REPOSITORY / "tests/support/native/bad_kernels.c")
    flags = ["-target", musl(arch), "-O1", "-nostdlib", "-fPIC", "-fno-sanitize=all"]
    flags += ["-fno-builtin", f"-DBAD={main}", "-c" if path.suffix == ".o" else "-shared"]
    run_zig(["cc", *flags, source, "-o", str(path)], path.parent)
    return path
