"""The signer of the ledger's heads and the witness an auditor runs elsewhere: one core, two keys.

Must know no database and no rule of the product: all either has is what it signed last, and a proof to check.
"""
