"""A real Prometheus and a real Alertmanager on loopback, and the numbers that they look at.

Must never signal a process that it did not start.
"""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import pytest

from tests.support.alertmanager_bodies import HOOK

START_LIMIT_S: Final = 60.0
"""A busy machine is slow; what does not answer by then never will."""
Trouble = tuple[str, str, str]
"""A rule's name, a chain and an instance."""
_RULES: Final = """
groups:
  - name: trouble
    rules:
      - alert: RpcLag
        expr: trouble{what="RpcLag"} > 0
        labels: {severity: warning}
        annotations: {summary: "RPC of {{ $labels.node }} lags", runbook_url: "https://runbooks.example/lag"}
      - alert: GasSpike
        expr: trouble{what="GasSpike"} > 0
        labels: {severity: warning}
        annotations: {summary: "Gas is dear on {{ $labels.chain }}"}
      - alert: ChainDown
        expr: trouble{what="ChainDown"} > 0
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.chain }} is down"}
"""


def installed(program: str) -> str:
    """Where a program of Debian's is; skips the test, and says so, where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed here (apt-get install prometheus prometheus-alertmanager)")
    return found


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """One program that a test starts, ends and starts again."""

    def __init__(self, argv: list[str], ready_url: str, log: Path) -> None:
        self._argv = argv
        self._ready_url = ready_url
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + START_LIMIT_S
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()[-2_000:]
            assert time.monotonic() < end, self._log.read_text()[-2_000:]
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        try:
            return httpx.get(self._ready_url, timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def end(self) -> None:
        """End it as a service manager does."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(START_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Troubles:
    """What Prometheus reads: a number for each trouble, 1 while there is one."""

    def __init__(self) -> None:
        self._standing: dict[Trouble, bool] = {}
        told = self._standing

        class Told(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                lines = [
                    f'trouble{{what="{what}",chain="{chain}",node="{node}"}} {int(stands)}'
                    for (what, chain, node), stands in list(told.items())
                ]
                body = "".join(f"{line}\n" for line in lines).encode()
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Told)
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="troubles")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def begin(self, *troubles: Trouble) -> None:
        """Have troubles."""
        self._standing |= dict.fromkeys(troubles, True)

    def over(self, *troubles: Trouble) -> None:
        """Have them no more."""
        self._standing |= dict.fromkeys(troubles, False)


class Peer:
    """Both programs, and what the Alertmanager says."""

    def __init__(self, directory: Path, token: str, hook_url: str, troubles: Troubles, port: int) -> None:
        self.troubles = troubles
        self.port = port
        self._prometheus_port = free_port()
        directory.mkdir(exist_ok=True)
        self.alertmanager = self._alertmanager(directory, token, hook_url)
        self.prometheus = self._prometheus(directory)

    @property
    def url(self) -> str:
        """Of the Alertmanager."""
        return f"http://127.0.0.1:{self.port}"

    def _alertmanager(self, directory: Path, token: str, hook_url: str) -> Process:
        def receiver(name: str, source: str, most: int) -> dict[str, Any]:
            hook = {
                "url": f"{hook_url}{HOOK}/{source}",
                "send_resolved": True,
                "max_alerts": most,
                "http_config": {"authorization": {"type": "Bearer", "credentials": token}},
            }
            return {"name": name, "webhook_configs": [hook]}

        timers = {"group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h"}
        config = {
            "route": {"receiver": "watchfloor", "group_by": ["alertname", "chain"], **timers},
            "receivers": [receiver("watchfloor", "main", 2)],
            "inhibit_rules": [
                {
                    "source_matchers": ['severity="critical"'],
                    "target_matchers": ['severity="warning"'],
                    "equal": ["chain"],
                }
            ],
        }
        path = directory / "alertmanager.yml"
        path.write_text(json.dumps(config))  # JSON is YAML
        argv = [
            installed("prometheus-alertmanager"), f"--config.file={path}", f"--storage.path={directory / 'am'}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address=",
        ]  # fmt: skip
        return Process(argv, f"{self.url}/-/ready", directory / "alertmanager.log")

    def _prometheus(self, directory: Path) -> Process:
        (directory / "rules.yml").write_text(_RULES)
        target = {"static_configs": [{"targets": [f"127.0.0.1:{self.troubles.port}"], "labels": {"instance": "desk"}}]}
        manager = {"static_configs": [{"targets": [f"127.0.0.1:{self.port}"]}]}
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(directory / "rules.yml")],
            "scrape_configs": [{"job_name": "desk", **target}],
            "alerting": {"alertmanagers": [manager]},
        }
        path = directory / "prometheus.yml"
        path.write_text(json.dumps(config))
        argv = [
            installed("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self._prometheus_port}", "--rules.alert.resend-delay=4s",
        ]  # fmt: skip
        return Process(argv, f"http://127.0.0.1:{self._prometheus_port}/-/ready", directory / "prometheus.log")

    def ask(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the API of the Alertmanager."""
        answer = httpx.request(verb, f"{self.url}/api/v2{path}", json=body, timeout=10, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else None

    def standing(self) -> dict[str, tuple[bool, bool]]:
        """What fires there, by fingerprint: whether it is silenced, and whether it is inhibited."""
        return {
            alert["fingerprint"]: (bool(alert["status"]["silencedBy"]), bool(alert["status"]["inhibitedBy"]))
            for alert in self.ask("GET", "/alerts")
        }


@contextmanager
def peer(directory: Path, token: str, hook_url: str, port: int) -> Iterator[Peer]:
    """Both programs while the context is open."""
    for program in ("prometheus", "prometheus-alertmanager"):
        installed(program)
    with ExitStack() as stack:
        troubles = stack.enter_context(Troubles())
        both = Peer(directory, token, hook_url, troubles, port)
        for process in (both.alertmanager, both.prometheus):
            stack.callback(process.end)
            process.start()
        yield both
