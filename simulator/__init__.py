"""A seeded trading floor that uses Watchfloor as a real platform would: the public API and `gate`, nothing else."""
