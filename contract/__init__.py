"""The wire types that console, backend and gate share. Imports neither side and does no I/O."""
