"""What the compiler knows about machines: one TOML file per target, loading, linking, an emulator.

The files beside this one are data (`host.toml`, `cortex-a76.toml`, ...); `load_target.py` reads
them, `link.py` turns a target's objects into its shared library, and `emulator/` runs arm64
libraries on a machine that has no ARM core.
"""
