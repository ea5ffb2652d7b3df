"""The thaw screen."""
