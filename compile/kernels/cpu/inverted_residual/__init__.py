"""An inverted residual block as one kernel, strip by strip in a core's caches."""
