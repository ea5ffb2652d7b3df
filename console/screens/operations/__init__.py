"""The operations screen."""
