"""A small spot venue on loopback that speaks enough of Binance's public interface for a bot's dry run.

Prices stand still; each question can be made slow. Run as a module it prints its URL and serves until it is ended.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

QUOTE = "USDT"
PRICE = "100.00"
INTERVALS_MS = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000}
DEPTH_LEVELS = 5
Query = dict[str, str]


def symbols(count: int) -> list[str]:
    """Names of the coins that are traded against the quote coin."""
    return [f"C{number:02}" for number in range(count)]


def _market(base: str) -> dict[str, Any]:
    return {
        "symbol": f"{base}{QUOTE}",
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": QUOTE,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "100000.00", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.0001", "maxQty": "90000.0", "stepSize": "0.0001"},
            {"filterType": "NOTIONAL", "minNotional": "5.0", "applyMinToMarket": True},
        ],
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
    }


class BinanceMock:
    """One venue with some coins, and how long it takes to answer for an order book."""

    def __init__(self, coins: int = 2, *, book_delay_s: float = 0.0) -> None:
        self.coins = symbols(coins)
        self.book_delay_s = book_delay_s
        self.unknown: list[str] = []
        """Paths that were asked for and are not spoken here."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="venue")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str, query: Query) -> Any:
        """What it says to a question; None if it does not know it."""
        name = path.rpartition("/")[2]
        if name == "exchangeInfo":
            spot = path.startswith("/api/")
            return {
                "timezone": "UTC",
                "rateLimits": [],
                "symbols": [_market(one) for one in self.coins] if spot else [],
            }
        if name in {"24hr", "bookTicker", "price"}:
            wanted = query.get("symbol")
            shown = [self._ticker(f"{one}{QUOTE}") for one in self.coins]
            return next((one for one in shown if one["symbol"] == wanted), None) if wanted else shown
        spoken = {"klines": self._candles, "depth": self._book, "time": self._time, "ping": self._nothing}
        return spoken[name](query) if name in spoken else None

    def _ticker(self, symbol: str) -> dict[str, Any]:
        now = int(time.time() * 1000)
        prices = {"lastPrice": PRICE, "price": PRICE, "bidPrice": "99.99", "askPrice": "100.01", "openPrice": PRICE}
        sizes = {"bidQty": "50", "askQty": "50", "volume": "100000", "quoteVolume": "10000000", "count": 1000}
        return {"symbol": symbol, "openTime": now - 86_400_000, "closeTime": now} | prices | sizes

    def _candles(self, query: Query) -> list[list[Any]]:
        step, limit = INTERVALS_MS[query["interval"]], int(query.get("limit", "500"))
        newest = int(time.time() * 1000) // step * step
        first = max(int(query.get("startTime", "0")), newest - step * (limit - 1))
        starts = range(-(-first // step) * step, newest + 1, step)
        return [
            [at, PRICE, "100.50", "99.50", PRICE, "10.0", at + step - 1, "1000.0", 9, "5.0", "500.0", "0"]
            for at in starts
        ]

    def _book(self, query: Query) -> dict[str, Any]:
        time.sleep(self.book_delay_s)
        levels = range(1, DEPTH_LEVELS + 1)
        return {
            "lastUpdateId": time.time_ns(),
            "bids": [[f"{100 - level / 100:.2f}", "50.0"] for level in levels],
            "asks": [[f"{100 + level / 100:.2f}", "50.0"] for level in levels],
        }

    def _time(self, query: Query) -> dict[str, int]:
        return {"serverTime": int(time.time() * 1000)}

    def _nothing(self, query: Query) -> dict[str, int]:
        return {}


def _handler(venue: BinanceMock) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            found = venue.answer(parts.path, {name: one[0] for name, one in parse_qs(parts.query).items()})
            if found is None:
                venue.unknown.append(self.path)
            raw = json.dumps({"code": -1, "msg": "unknown"} if found is None else found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class named it
            """Say nothing."""

    return Handler


if __name__ == "__main__":
    with BinanceMock(int(sys.argv[1]), book_delay_s=float(sys.argv[2])) as venue:
        sys.stdout.write(venue.url + "\n")
        sys.stdout.flush()
        sys.stdin.read()
        sys.stdout.write("\n".join(sorted(set(venue.unknown))))
