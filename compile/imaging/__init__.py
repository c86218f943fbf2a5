"""From a photograph to the network's input, and from its output to HDR files."""
