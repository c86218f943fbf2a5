"""What every folder needs: errors, command lines, whole files, progress, cached folders."""
