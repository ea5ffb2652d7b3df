"""Says whether the ledger is what was written to it: six verdicts apart, each with counts and first findings.

What reads entries runs in a process of its own and imports neither SQLAlchemy nor the web framework.
"""
