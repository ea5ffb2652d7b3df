"""Trading transactions: batches, file imports, queries."""
