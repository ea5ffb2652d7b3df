"""The screens of silences."""
