"""Which passwords a person may choose: long enough, and not among those that are guessed first. Stores nothing.

What is common, a pattern of the keyboard, a date or a repetition is judged by zxcvbn and its lists of leaked passwords.
"""

from collections.abc import Sequence

from backend.errors import WatchfloorError
from backend.policy import Policy
from contract.auth import MAX_PASSWORD_CHARS
from contract.errors import ErrorCode

_JUDGED_CHARS = 72
"""Zxcvbn's time grows with the square of the length; whoever types more has typed enough."""
_PRODUCT = ("watchfloor", "methtrader", "mev", "trading", "compliance")
"""Words that an attacker of this system tries first."""


def refuse_weak(policy: Policy, password: str, *, own_words: Sequence[str] = ()) -> None:
    """Let a password pass that withstands guessing; `own_words` are the account's name and role.

    Raises:
        WatchfloorError: INVALID_REQUEST, saying what is wrong with it, never the password itself.
    """
    refuse_length(policy, password)
    from zxcvbn import zxcvbn  # its lists take a tenth of a second to load, and most processes never need them

    found = zxcvbn(password[:_JUDGED_CHARS], user_inputs=[*own_words, *_PRODUCT], max_length=_JUDGED_CHARS)
    if found["score"] >= policy.identity.password_strength:
        return
    why = str(found["feedback"]["warning"]).rstrip(".") or "It is too easy to guess"
    raise WatchfloorError(
        ErrorCode.INVALID_REQUEST,
        f"That password is among those that are guessed first. {why}.",
        hint="Take four or more words at random, or leave it out and have one made.",
    )


def refuse_length(policy: Policy, password: str) -> None:
    """Let a password pass whose length the policy allows.

    Raises:
        WatchfloorError: INVALID_REQUEST.
    """
    least = policy.sign_in.watchfloor.min_password_chars
    if not least <= len(password) <= MAX_PASSWORD_CHARS:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, f"A password has {least} to {MAX_PASSWORD_CHARS:,} characters."
        )
