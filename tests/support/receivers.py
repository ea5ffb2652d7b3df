"""Places that tests send notifications to: an HTTP server and a mail server on loopback, that can refuse or hang."""

import email
import email.policy
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOST = "127.0.0.1"


@dataclass
class Receiver:
    """What has arrived at a webhook, and how it answers."""

    port: int = 0
    status: int = 200
    arrived: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)
    """While set, nothing is answered."""
    released: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "hook") -> str:
        """Its address as apprise takes it."""
        return f"json://{HOST}:{self.port}/{path}"

    @property
    def titles(self) -> list[str]:
        """The titles that have arrived, in their order."""
        return [one["title"] for one in self.arrived]


@contextmanager
def webhook() -> Iterator[Receiver]:
    """An HTTP server that takes what apprise's json:// sends."""
    held = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if held.silent.is_set():
                held.paths.append("silent")
                held.released.wait(60)
                return
            held.paths.append(self.path)
            if held.status < 300:
                held.arrived.append(body)
            self.send_response(held.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        held.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield held
        finally:
            held.released.set()
            server.shutdown()
            thread.join()


@contextmanager
def mailbox() -> Iterator[tuple[int, list[email.message.EmailMessage]]]:
    """A mail server that takes every mail: its port, and the mails."""
    mails: list[email.message.EmailMessage] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 loopback\r\n")
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    mails.append(_mail(self.rfile))
                self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 taken\r\n")
                if verb == b"QUIT":
                    return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        address_family = socket.AF_INET

    with Server((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1]), mails
        finally:
            server.shutdown()
            thread.join()


def _mail(lines: Any) -> email.message.EmailMessage:
    held = []
    while (line := lines.readline()).rstrip(b"\r\n") != b".":
        held.append(line[1:] if line.startswith(b"..") else line)
    found = email.message_from_bytes(b"".join(held), policy=email.policy.default)
    assert isinstance(found, email.message.EmailMessage)
    return found
