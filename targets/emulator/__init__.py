"""An arm64 board without hardware: a root folder for qemu-user, and a runner for built libraries.

`make_root.py` makes the root (no chroot, no binfmt, no root rights); `run_module.py` runs a library
in it through `guest.py`, the only file that the emulated Python executes.
"""
