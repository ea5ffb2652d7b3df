"""Runs the `watchfloor` command as `python -m watchfloor`."""

from watchfloor.entry import main

main()
