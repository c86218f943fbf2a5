"""The engines that are timed, one class a file; ``registry.py`` lists them.

A file imports its engine's runtime in ``load`` and nowhere else: an engine that is not installed is
a row that says so, and a runtime counts the cores that it may use when it is imported, which is
after the engine's process was pinned to some.
"""
