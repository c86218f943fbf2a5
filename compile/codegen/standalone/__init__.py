"""The standalone form of a network: a C library and a program, without TVM and without Python.

``read_plan.py`` reads the order of the kernels and the memory out of a planned module,
``write_sources.py`` spells them out as constant data in C, and ``build_standalone.py`` compiles
that with the runtime of ``device/runtime/native`` and links it with the kernels.
"""
