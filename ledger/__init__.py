"""The pure core of the audit ledger: canonical bytes, Merkle trees, signed notes, sealed fields.

Imports the standard library, orjson and cryptography only. No input or output, no clock, no randomness: parameters.
"""
