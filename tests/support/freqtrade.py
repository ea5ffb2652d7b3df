"""Real freqtrade bots in their dry run, in a venv of their own and against a venue on loopback. Skips where absent."""

import base64
import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.binance_mock import QUOTE, BinanceMock

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".peers" / "freqtrade" / "bin" / "python"
START_LIMIT_S = 180.0
"""It imports for ten seconds on an idle machine."""
STOP_LIMIT_S = 60.0
LOGIN = ("trader", "a-password-of-tests")
PATHS = {
    "public": "/api/v3", "private": "/api/v3", "v1": "/api/v1", "sapi": "/sapi/v1", "sapiV2": "/sapi/v2",
    "sapiV3": "/sapi/v3", "sapiV4": "/sapi/v4", "fapiPublic": "/fapi/v1", "dapiPublic": "/dapi/v1",
    "eapiPublic": "/eapi/v1",
}  # fmt: skip
STRATEGY = '''
from freqtrade.strategy import IStrategy

class Always(IStrategy):
    """Enters whatever it may, at {price}."""

    INTERFACE_VERSION = 3
    timeframe = "5m"
    minimal_roi = {{"0": 10}}
    stoploss = -0.9
    startup_candle_count = 5
    process_only_new_candles = False

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe["exit_long"] = 0
        return dataframe

    def custom_entry_price(self, pair, trade, current_time, proposed_rate, entry_tag, side, **kwargs):
        return proposed_rate * {price}
'''


def needed() -> None:
    """Skip the test, and say what is missing."""
    if not PYTHON.exists():
        pytest.skip("freqtrade absent: make peers")


@dataclass
class Bot:
    """One bot: where it is configured, and its process while it runs."""

    directory: Path
    port: int
    cycle_s: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process and wait until its interface answers."""
        with (self.directory / "bot.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(PYTHON), "-m", "freqtrade", "trade", "--config", "config.json", "--userdir", ".",
                    "--strategy-path", "strategies", "--strategy", "Always", "--db-url", "sqlite:///bot.sqlite",
                ],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        end = time.monotonic() + START_LIMIT_S
        while True:
            try:
                if self.ask("GET", "/show_config")["state"]:
                    return
            except (OSError, KeyError, http.client.HTTPException):
                assert self.process.poll() is None, (self.directory / "bot.log").read_text()[-3000:]
                assert time.monotonic() < end, "freqtrade does not answer"
                time.sleep(0.1)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the process."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_LIMIT_S)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask its interface as a person's client does."""
        token = base64.b64encode(":".join(LOGIN).encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        try:
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    @property
    def state(self) -> str:
        return str(self.ask("GET", "/show_config")["state"])

    def orders(self) -> list[dict[str, Any]]:
        """All orders that it knows."""
        trades = [*self.ask("GET", "/status"), *self.ask("GET", "/trades?limit=500")["trades"]]
        return [order for trade in trades for order in trade["orders"]]

    def sent_at_ms(self) -> list[int]:
        """When each order that it knows was made, by its own clock, which is this machine's."""
        return sorted(order["order_timestamp"] for order in self.orders())


@contextmanager
def bot(
    directory: Path, venue: BinanceMock, *, cycle_s: int = 1, price: str = "1", initial_state: str = "stopped"
) -> Iterator[Bot]:
    """A bot that enters every coin of the venue, one after the other, and is stopped at the end.

    `price` is the share of the market's price at which it wants to enter: far below it, orders rest.
    """
    directory.mkdir()
    (directory / "strategies").mkdir()
    (directory / "strategies" / "always.py").write_text(STRATEGY.format(price=price))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    pairs = [f"{coin}/{QUOTE}" for coin in venue.coins]
    pricing = {"price_side": "same", "use_order_book": True, "order_book_top": 1}
    urls = {name: venue.url + path for name, path in PATHS.items()}
    config = {
        "max_open_trades": len(pairs), "stake_currency": QUOTE, "stake_amount": 20, "dry_run": True,
        "dry_run_wallet": 100_000, "trading_mode": "spot", "fiat_display_currency": "", "bot_name": "peer",
        "initial_state": initial_state, "force_entry_enable": False, "custom_price_max_distance_ratio": 0.5,
        "unfilledtimeout": {"entry": 60, "exit": 60, "unit": "minutes"},
        "entry_pricing": pricing, "exit_pricing": pricing, "pairlists": [{"method": "StaticPairList"}],
        "internals": {"process_throttle_secs": cycle_s, "heartbeat_interval": 5},
        "exchange": {
            "name": "binance", "key": "", "secret": "", "enable_ws": False, "pair_whitelist": pairs,
            "pair_blacklist": [],
            "ccxt_config": {"urls": {"api": urls}, "options": {"fetchMarkets": {"types": ["spot"]}}},
        },
        "api_server": {
            "enabled": True, "listen_ip_address": "127.0.0.1", "listen_port": port, "verbosity": "error",
            "jwt_secret_key": "j" * 40, "username": LOGIN[0], "password": LOGIN[1], "CORS_origins": [],
        },
    }  # fmt: skip
    (directory / "config.json").write_text(json.dumps(config))
    one = Bot(directory, port, cycle_s)
    try:
        one.start()
        yield one
    finally:
        one.end()
