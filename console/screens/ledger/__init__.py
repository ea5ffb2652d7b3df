"""The page of the ledger's state."""
