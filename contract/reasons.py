"""The reason a person gives for an act: one rule for all acts that want one."""

from contract.base import storable

MAX_REASON_CHARS = 2_000
"""Room for a paragraph; a reason is evidence, not an essay."""


def has_words(value: str) -> str:
    """Trim a reason.

    Raises:
        ValueError: there are no words in it.
    """
    value = storable(value).strip()
    if not value:
        raise ValueError("a reason is required: say in a few words why")
    return value
