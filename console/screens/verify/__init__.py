"""The verification screen."""
