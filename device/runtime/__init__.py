"""Loading and running an artefact."""
