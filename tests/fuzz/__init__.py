"""Fuzz harnesses of parsers of what strangers send, run by atheris or by pytest: `seeds` and `check` each."""
