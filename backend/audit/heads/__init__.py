"""Signing the ledger's heads, handing them to witnesses, and believing them more than the own database."""
