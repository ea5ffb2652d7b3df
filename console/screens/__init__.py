"""Screens, one folder an area: `screen.py` composes and routes, `screen.tcss` lays out."""
