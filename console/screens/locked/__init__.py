"""The cover of a locked console."""
