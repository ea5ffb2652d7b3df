"""Owns the one error of the launcher. Must never carry more than one line for the person who reads it."""


class ConfigurationError(Exception):
    """What a person has to change before this can start; the command line prints it and exits with code 3."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def refusal(action: str, error: OSError) -> ConfigurationError:
    """Turn an operating-system refusal into one line, because "[Errno 13]" tells an operator nothing to do."""
    return ConfigurationError(f"cannot {action}: {error.strerror or error}")
