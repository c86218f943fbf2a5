"""A build's folder: its files, their description, and where it can run."""
