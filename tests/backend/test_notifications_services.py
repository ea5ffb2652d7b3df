"""The services that people are told by: what apprise makes of addresses of Slack, PagerDuty and Telegram.

Real are apprise, its plug-ins, the file of channels, and an HTTP server on loopback that takes what they send. Invented
are the tokens, and the hosts are not those of the services: each plug-in has its own built in, which the tests replace
by that server. So what is seen is what would leave, and not whether the service would take it.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from apprise.plugins import pagerduty, slack, telegram

from backend.errors import ConfigurationError
from backend.notifications.channels import channels_in
from backend.notifications.sending import Lane, Message, Outcome
from contract.alerts import Severity
from tests.support.notifying import channel_file

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#floor"
PAGERDUTY = "pagerduty://ABCDEFGHIJKLMNOPQRSTUVWXYZ123456@u-key-of-the-api"
TELEGRAM = "tgram://123456789:abcdefg_hijklmnopqrstuvwxyz-012345/12315544"
GRAVE = Message(
    "[CRITICAL] DAILY_LOSS_LIMIT (strategy:a_b)", "Lost 12 ETH *today* <now> & more.\nRunbook", Severity.CRITICAL
)


@dataclass
class Service:
    """A server in place of one of the services."""

    url: str = ""
    status: int = 200
    arrived: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Paths and bodies."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    held = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            held.arrived.append((self.path, body))
            answer = b"ok" if "/services" in self.path else b'{"ok": true, "status": "success"}'
            self.send_response(held.status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        held.url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr(slack.NotifySlack, "webhook_url", f"{held.url}/services")
        monkeypatch.setattr(telegram.NotifyTelegram, "notify_url", f"{held.url}/bot")
        monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, pagerduty.PagerDutyRegion.US, f"{held.url}/enqueue")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield held
        finally:
            server.shutdown()
            thread.join()


async def sent(tmp_path: Path, url: str, message: Message = GRAVE) -> Outcome:
    """Send to a channel with an address, read from a file."""
    channel = channels_in(channel_file(tmp_path / "channels.toml", {"oncall": url}))["oncall"]
    lane = Lane("oncall")
    try:
        return await lane.send(channel.url, message, 20)
    finally:
        lane.end()


async def test_slack_gets_title_and_text_in_the_channel_named(tmp_path: Path, service: Service) -> None:
    assert await sent(tmp_path, SLACK) == Outcome()
    [(path, body)] = service.arrived
    assert (path, body["channel"]) == ("/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "#floor")
    [shown] = body["attachments"]
    assert (shown["title"], shown["footer"]) == (GRAVE.title, "Watchfloor")
    assert (shown["text"], body["mrkdwn"]) == ("Lost 12 ETH *today* &lt;now&gt; &amp; more.\nRunbook", False)


async def test_pagerduty_gets_title_and_text_and_how_grave_it_is(tmp_path: Path, service: Service) -> None:
    assert await sent(tmp_path, PAGERDUTY) == Outcome()
    [(path, body)] = service.arrived
    assert (path, body["routing_key"], body["event_action"]) == ("/enqueue", PAGERDUTY[12:44], "trigger")
    assert body["payload"]["severity"] == "critical"
    assert body["payload"]["summary"].split() == f"{GRAVE.title} {GRAVE.body}".split()


async def test_telegram_gets_title_and_text_for_the_chat_named(tmp_path: Path, service: Service) -> None:
    assert await sent(tmp_path, TELEGRAM) == Outcome()
    [(path, body)] = service.arrived
    assert path == "/bot123456789:abcdefg_hijklmnopqrstuvwxyz-012345/sendMessage"
    assert (body["chat_id"], body["parse_mode"]) == (12315544, "HTML")
    assert body["text"].split() == (f"<b>{GRAVE.title}</b> Lost 12 ETH *today* &lt;now&gt; &amp; more. Runbook".split())


@pytest.mark.parametrize("url", [SLACK, PAGERDUTY, TELEGRAM])
async def test_a_refusal_is_told_without_the_address(tmp_path: Path, service: Service, url: str) -> None:
    service.status = 403
    assert await sent(tmp_path, url) == Outcome("refused with status 403")


@pytest.mark.parametrize("url", [SLACK, PAGERDUTY, TELEGRAM])
def test_a_scheme_that_is_written_wrongly_is_told_when_the_file_is_read(tmp_path: Path, url: str) -> None:
    scheme, _, rest = url.partition("://")
    assert channels_in(channel_file(tmp_path / "right.toml", {"oncall": url}))["oncall"].service == scheme
    wrong = channel_file(tmp_path / "wrong.toml", {"oncall": f"{scheme[:-2]}{scheme[-1]}{scheme[-2]}://{rest}"})
    with pytest.raises(ConfigurationError) as refused:
        channels_in(wrong)
    assert f"did you mean '{scheme}'?" in str(refused.value)
    assert rest not in str(refused.value)


def test_an_address_as_a_services_own_pages_show_it_is_taken(tmp_path: Path) -> None:
    hook = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert channels_in(channel_file(tmp_path / "right.toml", {"oncall": hook}))["oncall"].service == "https"
    with pytest.raises(ConfigurationError, match="begins as none of apprise's does"):
        channels_in(channel_file(tmp_path / "wrong.toml", {"oncall": "https://example.org/a/page"}))
