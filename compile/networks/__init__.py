"""Networks that can be compiled.

`network.py` says what the compiler has to be told of a network, `registry.py` names those that
there are, and each is a folder or a file beside them.
"""
