"""A compiler for Mali without a Mali: Mesa's, which Debian packages for arm64, under qemu-user.

`make_compiler.py` fetches it; `compile_kernels.py` gives it OpenCL C and reads what it makes of it.
Mesa's OpenCL (Rusticl on Panfrost) is what a board has whose kernel is Linux's own; Arm's compiler,
which no registry has, makes other code for the same instruction set.
"""
