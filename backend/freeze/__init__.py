"""Holds on trading: freezing takes one person, thawing two."""
