"""console tests."""
