"""backend tests."""
