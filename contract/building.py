"""When wire types build their validators. Set before the first wire type is imported, or not at all."""

DEFERRED = False
"""True: each at its first use. A console that opens needs a tenth of them at once; a web framework needs all."""
