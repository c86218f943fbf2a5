"""What passes ask of a graph: matchers, constants, layers, rewriting helpers. No pass is here."""
