"""The palette screen."""
