"""The terminal console and command line. Speaks HTTP to the backend, nothing else."""
