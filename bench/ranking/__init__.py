"""How well the emulated board's cycles rank candidates: against llvm-mca, and against real time."""
