"""Compiles kernels for a Mali that is not there, by Mesa's compiler under qemu-user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from compile.codegen.opencl.dot_product import MACRO
from compile.support.errors import TargetError
from compile.support.scratch_folder import scratch_folder
from device.emulated.arm64.command import find_qemu
from device.emulated.mali.library_cache import library_cache
from device.emulated.mali.make_compiler import PROGRAM, is_current
from device.emulated.mali.shader_text import Shader, read_shader

_LIBRARIES = Path("/usr/lib/aarch64-linux-gnu")
# What stands in for the kernel's driver, and Mesa's OpenCL.
_NO_DEVICE = _LIBRARIES / "libpanfrost_noop_drm_shim.so"
_RUSTICL = _LIBRARIES / "libRusticlOpenCL.so.1"

# Mesa's OpenCL has this extension for every Valhall.
_OPTIONS = f"-cl-std=CL1.2 -D {MACRO}cl_khr_integer_dot_product"

_COMPILE_ERROR = re.compile(r"error: .*")


@dataclass(frozen=True)
class CompiledKernels:
    """What a compiler has made of kernels.

    Attributes:
        device: name of the GPU, and version of its driver.
        shaders: by the name of the kernel.
    """

    device: str
    shaders: dict[str, Shader]


def check_compiler(root: Path) -> str:
    """QEMU's path, where it and the compiler of ``root`` are there.

    Raises:
        TargetError: no QEMU, or no current compiler.
    """
    qemu = find_qemu()
    if not is_current(root):
        raise TargetError(
            f"{root} is no current compiler for Mali: run "
            f"python device/make_mali_compiler.py {root}"
        )
    return qemu


def compile_kernels(
    root: Path,
    gpu_id: int,
    sources: Mapping[str, str],
    on_kernel: Callable[[str], None] = lambda name: None,
) -> CompiledKernels:
    """Compiles each of ``sources``, OpenCL C with one kernel, on as many cores as there are.

    Args:
        root: The compiler's folder, made by `make_compiler.py`.
        gpu_id: What the GPU's register says it is, as Linux's driver reads it.
        sources: By the name of the kernel.
        on_kernel: Called with each name as its compilation ends, by several threads.

    Raises:
        TargetError: no QEMU, no compiler, a GPU that it does not know, a kernel that it does not
            compile.
    """
    qemu = check_compiler(root)
    compile_files = partial(_compile_files, _command(qemu, root), gpu_id)
    library = library_cache(root, gpu_id, compile_files)
    # Long ones first, so that all cores have work until the end.
    names = sorted(sources, key=lambda name: -len(sources[name]))
    workers = min(len(os.sched_getaffinity(0)), len(names))
    with scratch_folder("mqnet-mali-") as work:
        cache = shutil.copytree(library, work / "cache")
        for name, source in sources.items():
            (work / f"{name}.cl").write_text(source)

        def compile_share(share: list[str]) -> tuple[str, dict[str, Shader]]:
            return compile_files(cache, [work / f"{name}.cl" for name in share], on_kernel)

        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(compile_share, [names[n::workers] for n in range(workers)]))
    return CompiledKernels(
        found[0][0], {name: shader for _, shaders in found for name, shader in shaders.items()}
    )


def _command(qemu: str, root: Path) -> list[str]:
    # Preloaded there and not in QEMU itself.
    preload = ["-E", f"LD_PRELOAD={_NO_DEVICE}"]
    return [qemu, "-L", str(root), *preload, str(root / PROGRAM), _OPTIONS]


def _compile_files(
    command: list[str],
    gpu_id: int,
    cache: Path,
    files: list[Path],
    on_kernel: Callable[[str], None] = lambda name: None,
) -> tuple[str, dict[str, Shader]]:
    env = {
        "PAN_GPU_ID": f"{gpu_id:#x}",
        "RUSTICL_ENABLE": "panfrost",
        "OCL_ICD_VENDORS": str(_RUSTICL),
        "BIFROST_MESA_DEBUG": "shaders,shaderdb",
        "MESA_SHADER_CACHE_DIR": str(cache),
    }
    with subprocess.Popen(
        [*command, *map(str, files)],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        assert process.stderr is not None
        try:
            return _read(process.stderr, gpu_id, on_kernel)
        finally:
            process.kill()


def _read(
    lines: Iterable[str], gpu_id: int, on_kernel: Callable[[str], None]
) -> tuple[str, dict[str, Shader]]:
    """What the program tells: see `compile_kernels.c`."""
    text: list[str] = []
    device, name = "", ""
    shaders: dict[str, Shader] = {}
    for line in lines:
        mark, _, rest = line.strip().partition(" ")
        if mark == "@device":
            device = rest
        elif mark == "@program":
            name, text = Path(rest).stem, []
        elif mark == "@built":
            shaders[name] = read_shader("".join(text))
            on_kernel(name)
            name = ""
        elif mark == "@failed":
            reasons = _COMPILE_ERROR.findall("".join(text)) or ["no message"]
            raise TargetError(f"Mesa's compiler does not compile {name}: {reasons[0]}")
        elif mark == "@error":
            raise TargetError(f"Mesa's compiler has no GPU {gpu_id:#x}: {rest}")
        else:
            text.append(line)
    if name or not device:
        reason = next((line.strip() for line in reversed(text) if line.strip()), "no message")
        raise TargetError(f"Mesa's compiler ended {f'in {name}' if name else 'early'}: {reason}")
    return device, shaders
