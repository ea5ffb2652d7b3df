"""The composition root: the `watchfloor` command, the embedded PostgreSQL and the demo."""
