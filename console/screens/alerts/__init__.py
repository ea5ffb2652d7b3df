"""The alerts screen."""
