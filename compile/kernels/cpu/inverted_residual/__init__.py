"""An inverted residual block as one kernel, row block by row block in a core's caches."""
