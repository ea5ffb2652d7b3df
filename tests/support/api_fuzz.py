"""Asks every route of a real backend, as everybody, for what its own description allows and for what it does not.

`python -m tests.support.api_fuzz CASES [SEED]` asks at least so many times and prints what was wrong. Each answer must
be one that the description names, never a failure, and a refusal must come in the one envelope.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, strategies
from pydantic import ValidationError
from schemathesis import GenerationMode

from contract.errors import ErrorCode, ErrorEnvelope
from tests.support.app import started_app
from tests.support.backends import backend
from tests.support.databases import create_database, drop_database, migrated_template
from tests.support.people import ADMIN, AUDITOR, EXECUTOR, OFFICER, OPERATOR, sign_in

NOBODY: Final = "nobody"
PEOPLE: Final = (OPERATOR, ADMIN, OFFICER, AUDITOR, EXECUTOR)
ROUTES: Final = 60
"""Less than there are."""
SPARE_SESSIONS: Final = 60
"""Sign-ins of each person: one of the routes ends them."""
SIGN_OUT: Final = "/v1/auth/logout"
FEW: Final = 20
"""Nobody signs out with so few left: the routes that follow are asked by people who are signed in."""
ANSWER_LIMIT_S: Final = 60.0
OPEN_POLICY: Final = """
extends = "mev"
[watchfloor.thaw]
min_hold_seconds = 0
watch_seconds = 0
""" + "\n".join(
    f"[transport.watchfloor.limits.{kind}]\n"
    + "\n".join(
        f"{of} = {{ burst = 10000000, per_minute = 60000000, taken_ahead = 10000 }}"
        for of in (["address"] if kind == "sign_ins" else ["address", "token"])
    )
    for kind in ("sign_ins", "reads", "writes", "exports")
)
"""Without limits on requests: they have tests of their own."""
_SIGNED_OUT: Final = f'"code":"{ErrorCode.NOT_AUTHENTICATED.value}"'
_FIRST_FAILURE: Final = 500
_FIRST_REFUSAL: Final = 400


@dataclass
class Found:
    """What was asked, and what was wrong with the answers."""

    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def note(self, problem: str, example: str) -> None:
        """Count a problem and keep its first example."""
        self.wrong[problem] += 1
        self.examples.setdefault(problem, example[:3_000])

    def report(self) -> str:
        """Tell all of it."""
        lines = [f"{self.cases} cases, statuses {dict(sorted(self.statuses.items()))}"]
        lines += [f"{count:6} × {problem}\n         {self.examples[problem]}" for problem, count in self.wrong.items()]
        return "\n".join(lines)


class Tokens:
    """The sign-ins of everybody, each used until it ends."""

    def __init__(self, tokens: Mapping[str, list[str]]) -> None:
        self._tokens = tokens

    def current(self, who: str) -> str | None:
        """A token of somebody; None of nobody."""
        held = self._tokens.get(who)
        return held[-1] if held else None

    def left(self, who: str) -> int:
        """How many sign-ins somebody has."""
        return len(self._tokens.get(who, ()))

    def ended(self, who: str) -> None:
        """Take the next one, if there is one."""
        held = self._tokens.get(who)
        if held and len(held) > 1:
            held.pop()


async def prepared(database_url: str) -> tuple[dict[str, Any], Tokens]:
    """The description of the routes, and people who are signed in."""
    async with started_app(database_url, sequence=False) as app:
        tokens = {
            person.name: [
                await sign_in(app.runtime, person) for _ in range(SPARE_SESSIONS if person.kind == "user" else 1)
            ]
            for person in PEOPLE
        }
        return app.app.openapi(), Tokens(tokens)


@dataclass
class Asking:
    """One run: where to, as whom, and what was found."""

    url: str
    description: dict[str, Any]
    tokens: Tokens
    session: requests.Session
    found: Found = field(default_factory=Found)

    def everything(self, examples: int, seed: int) -> Found:
        """Ask every route so many times with what it allows and with what it does not, as somebody drawn each time."""
        with suppress(KeyboardInterrupt):  # then what was found so far is told
            schema: Any = schemathesis.openapi.from_dict(self.description)
            for result in schema.get_all_operations():
                self._operation(result.ok(), examples, seed)
        return self.found

    def _operation(self, operation: Any, examples: int, seed: int) -> None:
        documented = set(self.description["paths"][operation.path][operation.method]["responses"])
        allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        not_allowed = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
        everybody = strategies.sampled_from([NOBODY, *(person.name for person in PEOPLE)])

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=allowed | not_allowed, who=everybody)
        def ask(case: Any, who: str) -> None:
            self._case(case, who, documented)

        ask()

    def _case(self, case: Any, who: str, documented: set[str]) -> None:
        if case.operation.path == SIGN_OUT and self.tokens.left(who) < FEW:
            who = NOBODY
        token = self.tokens.current(who)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        given = case.as_transport_kwargs(base_url=self.url, headers=headers)
        try:
            status, text = self._answer(given)
            if status == requests.codes.unavailable:  # it says that it may be asked again
                time.sleep(1)
                status, text = self._answer(given)
        except requests.exceptions.InvalidHeader:
            return  # the client itself will not send that
        self._judge(case, who, documented, status, text)
        if _SIGNED_OUT in text:
            self.tokens.ended(who)

    def _answer(self, given: dict[str, Any]) -> tuple[int, str]:
        # a stream never ends: its beginning says enough
        with self.session.request(**given, stream=True, timeout=ANSWER_LIMIT_S) as answer:
            refused = answer.status_code >= _FIRST_REFUSAL
            text = answer.text if refused else ""
            if not refused and not answer.headers.get("content-type", "").startswith("text/event-stream"):
                answer.content  # noqa: B018  reads it to its end
            return answer.status_code, text

    def _judge(self, case: Any, who: str, documented: set[str], status: int, text: str) -> None:
        found, route = self.found, f"{case.operation.method.upper()} {case.operation.path}"
        found.cases += 1
        found.statuses[status] += 1
        example = f"as {who}: {case.as_curl_command()} → {text}"
        if status >= _FIRST_FAILURE:
            found.note(f"{route}: {status}", example)
        elif str(status) not in documented:
            found.note(f"{route}: {status} is not described", example)
        if status >= _FIRST_REFUSAL:
            try:
                ErrorEnvelope.model_validate_json(text)
            except ValidationError:
                found.note(f"{route}: {status} without the envelope", example)


def run(examples: int, seed: int) -> Found:
    """Start a backend on a database of its own and ask it everything."""
    with migrated_template() as template, tempfile.TemporaryDirectory(prefix="wf-api-") as directory:
        name, url = create_database(template)
        policy = Path(directory) / "open.toml"
        policy.write_text(OPEN_POLICY)
        try:
            description, tokens = asyncio.run(prepared(url))
            env = {"WATCHFLOOR_POLICY": str(policy)}
            log = Path(directory) / "backend.log"
            with backend(url, log, env=env) as running, requests.Session() as session:
                found = Asking(running.url, description, tokens, session).everything(examples, seed)
            for line in log.read_text().splitlines():
                if "Traceback" in line:
                    found.note("a traceback in the log", line[-1_500:])
            return found
        finally:
            drop_database(name)


def _main() -> int:
    os.environ.setdefault("WATCHFLOOR_DATA_DIR", tempfile.mkdtemp(prefix="wf-api-state-"))  # never anybody's own
    cases, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    found = run(max(cases // ROUTES, 1), seed)
    sys.stdout.write(found.report() + "\n")
    return 1 if found.wrong or found.cases < cases else 0


if __name__ == "__main__":
    sys.exit(_main())
