"""HTTP steps: an address has to answer as stated. Asked every second until it does or the step's time is over."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backend.context import Runtime
from backend.continuity.cluster.port import Cluster
from backend.continuity.kinds.base import At, Facts, Outcome, of_kind
from backend.policy.recovery import AnyStep, HttpStep

if TYPE_CHECKING:
    import httpx  # at first need: it would cost every start of a backend a twentieth of a second

ASK_EVERY_S: Final = 1.0
ANSWER_LIMIT_S: Final = 10.0
"""An answer that is not whole by then is none; the next one is asked for."""
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class _Answer:
    wrong: str
    """Why it does not count; empty: it does."""
    body: str = ""


class HttpKind:
    """See `Kind`."""

    def problems(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> list[str]:  # noqa: ARG002  the protocol's
        """An authority that is not there."""
        own = _own(step)
        return [] if not own.ca_file or Path(own.ca_file).is_file() else [f"There is no file {own.ca_file}."]

    async def describe(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> str:  # noqa: ARG002  the protocol's
        """Who is asked, and what has to come."""
        own = _own(step)
        wanted = f" with {own.body_contains!r} in it" if own.body_contains else ""
        return (
            f"Asks {own.url} every second until it answers {own.status}{wanted};"
            f" gives up after {own.timeout_seconds} s."
        )

    async def run(self, at: At) -> Outcome:
        """Ask until it answers; the engine ends it when time is over."""
        own = _own(at.step)
        limit = at.runtime.policy.recovery.keep_output_kb * _KIB
        said, tries = "", 0
        async with _client(own) as client:
            while True:
                tries += 1
                answer = await _ask(client, own, limit)
                if not answer.wrong:
                    times = "at once" if tries == 1 else f"the {tries}. time it was asked"
                    return Outcome(
                        passed=True, summary=f"{own.url} answered {own.status}, {times}.", output=answer.body
                    )
                if answer.wrong != said:  # the same every second is no news
                    at.log(answer.wrong)
                    said = answer.wrong
                await asyncio.sleep(ASK_EVERY_S)

    async def undo(self, at: At, facts: Facts) -> Outcome:  # noqa: ARG002  the protocol's
        """It changed nothing."""
        return Outcome(passed=True, summary="It only asked.")

    async def look(self, at: At, facts: Facts) -> Outcome | None:  # noqa: ARG002  the protocol's
        """An answer that nobody wrote down is none: it may be asked again."""
        return None


def _own(step: AnyStep) -> HttpStep:
    return of_kind(step, HttpStep)


def _client(step: HttpStep) -> "httpx.AsyncClient":
    import ssl

    import httpx

    return httpx.AsyncClient(
        verify=ssl.create_default_context(cafile=step.ca_file or None),
        follow_redirects=False,
        timeout=ANSWER_LIMIT_S,
        trust_env=False,
    )


async def _ask(client: "httpx.AsyncClient", step: HttpStep, limit: int) -> _Answer:
    import httpx

    try:
        async with asyncio.timeout(ANSWER_LIMIT_S), client.stream("GET", step.url) as answer:
            if answer.status_code != step.status:
                return _Answer(f"{step.url} answers {answer.status_code}, not {step.status}.")
            body = await _body(answer, limit)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return _Answer(f"{step.url} does not answer: {str(error).strip() or type(error).__name__}.")
    except TimeoutError:
        return _Answer(f"{step.url} does not answer within {ANSWER_LIMIT_S:g} s.")
    if step.body_contains and step.body_contains not in body:
        return _Answer(f"{step.url} answers {step.status}; {step.body_contains!r} is not in it.", body)
    return _Answer("", body)


async def _body(answer: "httpx.Response", limit: int) -> str:
    """The first part of a body: what passes the limit is not read."""
    kept = bytearray()
    async for some in answer.aiter_bytes():
        kept += some[: limit - len(kept)]
        if len(kept) >= limit:
            break
    return kept.decode(errors="replace")
