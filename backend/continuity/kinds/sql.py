"""SQL steps: a question to the database whose first value has to be as stated. It can change no row: the transaction is
read-only, and the server refuses whatever is not.
"""

import asyncio
from typing import Any, Final

import psycopg

from backend.context import Runtime
from backend.continuity.cluster.port import Cluster
from backend.continuity.kinds.base import At, Facts, Outcome, of_kind
from backend.continuity.writable import connect, drop
from backend.policy.recovery import AnyStep, SqlStep

ASK_EVERY_S: Final = 0.5
"""How soon a database that is away is tried again."""
_MAX_SHOWN_CHARS: Final = 200


class SqlKind:
    """See `Kind`."""

    def problems(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> list[str]:  # noqa: ARG002  the protocol's
        """None that could be told without asking."""
        return []

    async def describe(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> str:  # noqa: ARG002  the protocol's
        """The question and what has to come."""
        own = _own(step)
        return (
            f"Asks the primary, read-only: {' '.join(own.statement.split())}; the first value has to be {_wanted(own)}."
        )

    async def run(self, at: At) -> Outcome:
        """Ask the server that takes writes, as soon as there is one."""
        own, told = _own(at.step), False
        while True:
            found = await connect(at.runtime.settings.database_url, "recovery drill")
            if found is not None:
                try:
                    return await _asked(at, own, found.connection)
                except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                    if error.sqlstate is not None:  # the server's own word, e.g. that it took too long
                        return _refused(error)
                    at.log(f"The connection was lost: {str(error).strip()}")
                except psycopg.Error as error:
                    return _refused(error)
                finally:
                    await drop(found.connection)
            elif not told:
                at.log("No server takes writes; it is asked for until one does.")
                told = True
            await asyncio.sleep(ASK_EVERY_S)

    async def undo(self, at: At, facts: Facts) -> Outcome:  # noqa: ARG002  the protocol's
        """It changed nothing."""
        return Outcome(passed=True, summary="It only read.")

    async def look(self, at: At, facts: Facts) -> Outcome | None:  # noqa: ARG002  the protocol's
        """An answer that nobody wrote down is none: it may be asked again."""
        return None


def _own(step: AnyStep) -> SqlStep:
    return of_kind(step, SqlStep)


def _wanted(step: SqlStep) -> str:
    return f"{step.equals!r}" if step.equals is not None else f"at least {step.at_least}"


def _refused(error: psycopg.Error) -> Outcome:
    return Outcome(passed=False, summary=f"The database refused the question: {str(error).strip().splitlines()[0]}")


async def _asked(at: At, step: SqlStep, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> Outcome:
    await connection.set_read_only(True)
    async with connection.transaction():
        await connection.execute(f"SET LOCAL statement_timeout = {at.runtime.settings.statement_timeout_ms}")
        # as one prepared statement: a text of several, which could end the transaction, is refused
        row = await (await connection.execute(step.statement.encode(), prepare=True)).fetchone()
    if row is None:
        return Outcome(passed=False, summary="The question has no answer: no row came back.")
    value = row[0]
    shown = f"{value}"[:_MAX_SHOWN_CHARS]
    facts = {"value": shown}
    if step.equals is not None:
        passed = f"{value}" == step.equals
    else:
        try:
            passed = int(value) >= (step.at_least or 0)
        except (TypeError, ValueError, OverflowError):
            return Outcome(passed=False, summary=f"The answer is no number: {shown}.", facts=facts)
    word = "as wanted" if passed else f"not {_wanted(step)}"
    return Outcome(passed=passed, summary=f"The answer is {shown}, {word}.", output=f"{shown}\n", facts=facts)
