"""The closed vocabulary of audit event types, `area.subject.act`. Their categories are policy data, not stated here."""

from enum import StrEnum


class AuditEvent(StrEnum):
    """Everything that is ever written to the audit log; the text below each member is what the documentation prints."""

    LOGIN_SUCCEEDED = "auth.login.succeeded"
    """A person signed in with password and one-time code."""
    LOGIN_FAILED = "auth.login.failed"
    """A sign-in was refused: wrong password or code, locked, disabled or unknown."""
    LOGOUT_DONE = "auth.logout.done"
    """A person ended a session."""
    REQUEST_REFUSED = "auth.request.refused"
    """A request came without a valid sign-in, or from an address its role may not come from."""
    PERMISSION_DENIED = "auth.permission.denied"
    """A signed-in caller asked for something its role may not do."""
    USER_ADDED = "auth.user.added"
    """An account was created."""
    USER_RESET = "auth.user.reset"
    """An account was set anew: its password, one-time-code secret or role."""
    USER_DISABLED = "auth.user.disabled"
    """An account was disabled and its sessions were ended."""
    USER_TOTP_RESET = "auth.user.totp_reset"
    """An account was given a new one-time-code secret."""
    TOKEN_ISSUED = "auth.token.issued"  # noqa: S105  the name of an event
    """A machine was given a credential."""

    FREEZE_CREATED = "freeze.hold.created"
    """Trading was frozen in a scope, by a person or by a rule of the policy."""
    HALT_ACKNOWLEDGED = "freeze.halt.acknowledged"
    """An executor proved that it stopped for a freeze."""
    THAW_REQUESTED = "freeze.thaw.requested"
    """Somebody asked to lift a freeze, or was refused to."""
    THAW_APPROVED = "freeze.thaw.approved"
    """A second person lifted a freeze, or was refused to."""
    THAW_WITHDRAWN = "freeze.thaw.withdrawn"
    """A request to lift a freeze was taken back, or refused to be."""

    EXECUTOR_REGISTERED = "executors.process.registered"
    """An executor asked for a permit for the first time."""
    EXECUTOR_REPLACED = "executors.process.replaced"
    """A new process took the name of an executor over."""
    EXECUTOR_MOVED = "executors.process.moved"
    """An executor changed its chain, strategy or wallet."""

    BATCH_STORED = "transactions.batch.stored"
    """A batch of trades was stored."""
    FILE_IMPORTED = "transactions.file.imported"
    """A file of trades was stored."""

    ALERT_RAISED = "alerts.alert.raised"
    """A rule of the policy was broken."""
    ALERT_ACKNOWLEDGED = "alerts.alert.acknowledged"
    """Somebody took an alert on."""
    ALERT_CLEARED = "alerts.alert.cleared"
    """An alert's cause went away."""
    REVIEW_REQUESTED = "risk.review.requested"
    """The policy asked for the review of a strategy."""

    SEARCH_RUN = "audit.search.run"
    """Somebody searched the audit log; the filters are in the entry."""
    ENTRY_READ = "audit.entry.read"
    """Somebody opened one entry of the audit log."""

    ENTRY_QUARANTINED = "ledger.entry.quarantined"
    """Something in the outbox could not be an entry; it is kept aside with its bytes."""
