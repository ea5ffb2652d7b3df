"""The page of one audit entry."""
