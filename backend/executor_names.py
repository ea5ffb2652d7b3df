"""For which executors a machine may speak: names and patterns of names. Knows no executor and no token."""

import re
from functools import lru_cache

from backend.audit.service import AuditDraft
from backend.context import Caller
from backend.errors import WatchfloorError
from contract.audit import AuditResult
from contract.errors import ErrorCode


def speaks_for(caller: Caller, executor: str) -> bool:
    """Whether a caller may renew or report for an executor of that name; who is bound to none may for all."""
    return not caller.executors or any(_matcher(one).fullmatch(executor) for one in caller.executors)


def not_for(caller: Caller, action: str, executor: str, *, recorded: bool = True) -> WatchfloorError:
    """The refusal of whoever speaks for an executor that its token is not bound to."""
    bound = f"the token is bound to {', '.join(caller.executors)[:200]}"
    draft = AuditDraft(
        "auth.permission.denied", action, "executor", executor, result=AuditResult.DENIED, error_message=bound
    )
    named = f"the executor {executor!r}" if executor else "no executor"
    return WatchfloorError(
        ErrorCode.NOT_ALLOWED,
        f"This token may not speak for {named}.",
        hint="It is bound to other names; see `watchfloor token list`.",
        audit=draft if recorded else None,
    )


@lru_cache(maxsize=512)
def _matcher(pattern: str) -> re.Pattern[str]:
    """A `*` stands for any characters, also none; upper and lower case are different names."""
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)
