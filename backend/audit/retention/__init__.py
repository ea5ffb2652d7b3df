"""Retention of the audit ledger: copies of closed partitions elsewhere, and dropping what is past its date.

Only a prefix of a log is ever dropped, whole partitions at a time, and only when nothing speaks against it.
"""
