"""What accounts and machines may be called. Owns no account."""

import re
from typing import Final

from backend.errors import WatchfloorError
from contract.errors import ErrorCode

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,99}")
_RESERVED: Final = frozenset({"anonymous"})


def check_name(name: str) -> None:
    """Refuse what cannot be a name; a colon never can, so that no person is taken for a machine or the system.

    Raises:
        WatchfloorError: INVALID_REQUEST.
    """
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST,
            f"{name!r} cannot be an account's name.",
            hint="Use up to 100 of a-z, 0-9 and . _ @ -, starting with a letter or digit.",
        )
