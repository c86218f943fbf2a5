"""A tuning session: which ways to cut a kernel's loops are tried, where, and what is kept of it."""
