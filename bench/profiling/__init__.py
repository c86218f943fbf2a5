"""The kernel calls of a frame: timed, described, kept in a file."""
