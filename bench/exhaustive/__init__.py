"""Every way to cut a network's largest kernels, measured: what a search can be held against."""
