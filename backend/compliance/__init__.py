"""The overview and the compliance dashboard: answers composed from the other areas' services."""
