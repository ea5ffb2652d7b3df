"""The screens of legal holds."""
