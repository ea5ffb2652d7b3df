"""Incidents: the record of what went wrong, who handled it, and what is left to do."""
