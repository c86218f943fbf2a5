"""The search for the precision of each module: dB against time, by exact evaluation."""
