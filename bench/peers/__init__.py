"""Makes the files that other engines run, in an environment of its own."""
