"""The screens of freeze drills."""
