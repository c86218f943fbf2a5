"""An arm64 board without hardware: a root folder for qemu-user, and what runs in it.

`make_root.py` makes the root (no chroot, no binfmt, no root rights); `run_module.py` runs a built
library in it through `guest.py`; `serve_board.py` offers it to a TVM tracker through
`device/serve.py`, as a board offers itself.
"""
