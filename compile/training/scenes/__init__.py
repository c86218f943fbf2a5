"""Real HDR panoramas and pictures: which there are, how they are fetched and read, and views."""
