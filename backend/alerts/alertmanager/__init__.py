"""Alerts of Alertmanagers: taken from their webhook and their API, silences created and ended there, rules read."""
