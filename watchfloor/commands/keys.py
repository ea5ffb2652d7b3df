"""`watchfloor keys`: the keys that sign session tokens, directly in the database. Prints no key."""

import click
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import signing_keys
from backend.auth.signing_keys import Rotation
from backend.context import Caller, Runtime
from console.commands.output import write_json, write_lines
from watchfloor.commands.user_base import as_json_option, run_in_database


@click.group()
def command() -> None:
    """Replace the key that signs session tokens, in the database of WATCHFLOOR_DATABASE_URL; each act is recorded."""


@command.command("rotate")
@click.option("--now", is_flag=True, help="A key may have leaked: no older one counts any more, every session ends.")
@as_json_option
def rotate(*, now: bool, as_json: bool) -> None:
    """Sign with a new key. Sessions go on until they end by themselves, unless --now is said.

    Backends do this by themselves when the key is as old as the policy's signing_key_days.
    """

    async def work(session: AsyncSession, runtime: Runtime, caller: Caller) -> Rotation:
        return await signing_keys.rotate(session, runtime, caller, compromised=now)

    done = run_in_database(work, "keys")
    if as_json:
        body = {"kid": done.kid, "replaced": list(done.replaced), "sessions_ended": done.sessions_ended}
        write_json("keys.rotate", body)
        return
    ended = f"Sessions ended: {done.sessions_ended}." if now else "Sessions go on until they end by themselves."
    write_lines([f"Sessions are signed with {done.kid} from now on.", ended])
