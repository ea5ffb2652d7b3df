"""The audit log: one entry for every change, refusal, sign-in and search, in the transaction of the act itself."""
