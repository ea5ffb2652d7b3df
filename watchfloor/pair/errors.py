"""Owns the one error of a pair. Must never carry more than one sentence for the person who reads it."""


class PairError(Exception):
    """What was asked was refused or did not happen; says why, and what to do where something can be done."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
