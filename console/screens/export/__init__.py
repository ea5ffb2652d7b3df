"""The dialog that takes audit entries out."""
