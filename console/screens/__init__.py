"""Screens: compose and route, nothing more."""
