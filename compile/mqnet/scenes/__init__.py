"""Real HDR panoramas: which there are, how they are fetched and read, and views out of them."""
