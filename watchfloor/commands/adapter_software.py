"""`watchfloor adapter freqtrade`, `webhook` and `command`: the options, files and signals around `adapters.running`."""

import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import click

from adapters import command as commands
from adapters import freqtrade as bots
from adapters import webhook as webhooks
from adapters.journal import Journal
from adapters.loop import Loop, Pace
from adapters.running import LOST_AFTER_S, Adapter, Software
from backend.errors import ConfigurationError
from gate import Gate
from gate.sidecar import read_permit_keys
from watchers.places import PlaceError
from watchers.running import read_secret

_CYCLES_TO_SETTLE: Final = 6
"""A bot with many pairs at a slow venue takes several of its cycles' lengths for one."""
_LONGEST_S: Final = 3600.0


class _Closing(Software, Protocol):
    def close(self) -> None: ...


def _describing(text: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def describe(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  click's
        if wanted:
            click.echo(text)
            context.exit()

    return describe


def _common(description: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    options = [
        click.option("--url", "urls", required=True, multiple=True, help="Address of a backend; several are tried."),
        click.option("--token-file", required=True, type=click.Path(path_type=Path), help="File with a service token."),
        click.option("--executor", "executors", required=True, multiple=True, help="Executor that it stands for."),
        click.option("--chain", required=True, help="Chain it trades on."),
        click.option("--strategy", required=True, help="Strategy it follows."),
        click.option("--wallet", required=True, help="Wallet it signs with, or account at its venue."),
        click.option("--permit-keys", type=click.Path(path_type=Path), help="JSON file of pinned keys of permits."),
        click.option("--evidence", type=click.Path(path_type=Path), help="Append what was done and seen to this file."),
        click.option(
            "--lost-after",
            "lost_after_s",
            type=click.FloatRange(1, _LONGEST_S),
            default=LOST_AFTER_S,
            show_default=True,
            help="Seconds without any permit after which it is stopped as under a hold.",
        ),
        click.option(
            "--in-drills/--not-in-drills",
            default=True,
            show_default=True,
            help="Whether a freeze drill stops it as a freeze does.",
        ),
        click.option(
            "--describe",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_describing(description),
            help="Say what it can prove, and end.",
        ),
    ]

    def add(function: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@click.command("freqtrade")
@_common(bots.DESCRIPTION)
@click.option("--api", required=True, help="Address of its REST interface, such as http://127.0.0.1:8080.")
@click.option(
    "--login-file",
    required=True,
    type=click.Path(path_type=Path),
    help="File with USER:PASSWORD of that interface.",
)
@click.option(
    "--cycle",
    "cycle_s",
    type=click.FloatRange(0.1, _LONGEST_S),
    default=5.0,
    show_default=True,
    help="Its internals.process_throttle_secs.",
)
@click.option("--resume", is_flag=True, help="Start it when the hold is over, if this adapter had stopped it.")
def freqtrade(*, api: str, login_file: Path, cycle_s: float, resume: bool, **common: Any) -> None:
    """Stop a freqtrade bot through its REST interface, until SIGTERM or Ctrl-C."""
    if len(common["executors"]) > 1:
        raise click.UsageError("A bot is one executor: its orders are told in one name.")

    def prepare() -> _Closing:
        user, colon, password = read_secret(login_file).partition(":")
        if not (user and colon and password):
            raise ValueError(f"{login_file} does not hold USER:PASSWORD")
        return bots.Freqtrade(api, (user, password), cycle_s=cycle_s)

    pace = Pace(settle_s=max(Pace().settle_s, _CYCLES_TO_SETTLE * cycle_s))
    _run(prepare, Loop(pace, resumes=resume), **common)


@click.command("webhook")
@_common(webhooks.DESCRIPTION)
@click.option("--halt-url", required=True, help="Address that halts the software.")
@click.option("--resume-url", help="Address that starts it again; without one it stays halted when the hold is over.")
@click.option("--check-url", help="Address that says whether it is halted; without one nothing is ever confirmed.")
@click.option("--check-json", metavar="PATH=VALUE", help="What that address answers then, such as state.halted=true.")
@click.option(
    "--secret-file",
    required=True,
    type=click.Path(path_type=Path),
    help="File with the secret (whsec_…) that signs requests.",
)
@click.option("--timeout", "timeout_s", type=click.FloatRange(0.1, 60), default=webhooks.TIMEOUT_S, show_default=True)
def webhook(
    *,
    halt_url: str,
    resume_url: str | None,
    check_url: str | None,
    check_json: str | None,
    secret_file: Path,
    timeout_s: float,
    **common: Any,
) -> None:
    """Stop software by a signed HTTP request, until SIGTERM or Ctrl-C."""
    if (check_url is None) != (check_json is None):
        raise click.UsageError("--check-url and --check-json belong together.")

    def prepare() -> _Closing:
        check = None if check_url is None or check_json is None else (check_url, webhooks.Expected.read(check_json))
        return webhooks.Webhook(
            halt_url,
            webhooks.read_secret(read_secret(secret_file)),
            executors=tuple(common["executors"]),
            resume_url=resume_url,
            check=check,
            timeout_s=timeout_s,
        )

    _run(prepare, Loop(Pace(), checks=check_url is not None, resumes=resume_url is not None), **common)


@click.command("command")
@_common(commands.DESCRIPTION)
@click.option("--halt", required=True, metavar="COMMAND", help="Halts the software, such as 'systemctl stop bot'.")
@click.option("--check", required=True, metavar="COMMAND", help="Ends with exit code 0 if it is halted.")
@click.option("--resume", metavar="COMMAND", help="Starts it again; without one it stays halted when the hold is over.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(0.1, 600), default=commands.TIMEOUT_S, show_default=True)
def run_commands(*, halt: str, check: str, resume: str | None, timeout_s: float, **common: Any) -> None:
    """Stop software by commands of yours, run without a shell, until SIGTERM or Ctrl-C."""

    def prepare() -> _Closing:
        read = commands.read_argv
        return commands.Command(read(halt), read(check), read(resume) if resume else None, timeout_s=timeout_s)

    _run(prepare, Loop(Pace(), resumes=resume is not None), **common)


def _run(
    prepare: Callable[[], _Closing],
    loop: Loop,
    *,
    urls: Sequence[str],
    token_file: Path,
    executors: Sequence[str],
    chain: str,
    strategy: str,
    wallet: str,
    permit_keys: Path | None,
    evidence: Path | None,
    lost_after_s: float,
    in_drills: bool,
) -> None:
    over, woken = threading.Event(), threading.Event()

    def heard_of_a_hold() -> bool:
        woken.set()
        return False  # whether the software has stopped is found out by looking

    with ExitStack() as stack:
        try:
            software = stack.enter_context(closing(prepare()))
            token = read_secret(token_file)
            keys = None if permit_keys is None else read_permit_keys(permit_keys.read_text())
            journal = Journal(software.name, executors, now=lambda: datetime.now(UTC), file=evidence)
            stack.enter_context(closing(journal))
            gates = {
                name: Gate(
                    urls,
                    token,
                    executor=name,
                    chain=chain,
                    strategy=strategy,
                    wallet=wallet,
                    on_halt=heard_of_a_hold,
                    sees_orders=software.sees_orders,
                    bounded=False,
                    in_drills=in_drills,
                    permit_keys=keys,
                )
                for name in dict.fromkeys(executors)
            }
        except OSError as error:
            raise ConfigurationError(f"{error.filename} cannot be used: {error.strerror}.") from error
        except (ValueError, PlaceError) as error:
            raise ConfigurationError(f"{error}.") from error
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
        for gate in gates.values():
            stack.enter_context(gate)
        journal.write("phase", "watching")
        Adapter(software, loop, gates, journal, lost_after_s=lost_after_s).run(over, woken)
