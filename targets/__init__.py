"""Machines that networks are built for: one TOML file each, and the schema that reads them."""
