"""Refusals and the one error envelope. The only module that turns an exception into an HTTP answer."""

from typing import TYPE_CHECKING
from uuid import UUID

from contract.errors import ConfirmationWanted, ErrorCode

if TYPE_CHECKING:
    from backend.audit.service import AuditDraft


class WatchfloorError(Exception):
    """A refusal with a machine-readable code; the edge answers it with the error envelope.

    `audit` is written in a transaction of its own, because the refused request's transaction is rolled back.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        hint: str | None = None,
        audit: "AuditDraft | None" = None,
        confirm: ConfirmationWanted | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.audit = audit
        self.confirm = confirm


class ConfigurationError(Exception):
    """The process cannot start as configured; commands print the one line and exit with code 3."""


class LedgerFaultError(Exception):
    """A log contradicts itself or what witnesses hold; nothing is appended to it until a person has looked."""

    def __init__(self, log: str, message: str) -> None:
        super().__init__(message)
        self.log = log


def not_found(what: str, ident: str) -> WatchfloorError:
    """The refusal for an id that names nothing."""
    return WatchfloorError(ErrorCode.NOT_FOUND, f"There is no {what} {ident!r}.")


def known_ident(what: str, ident: str) -> UUID:
    """Read an id that somebody typed: what is not an id of ours names nothing, like one that is not in use.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    try:
        return UUID(ident)
    except ValueError:
        raise not_found(what, ident) from None
