"""A bucket in memory that speaks as much of the S3 protocol as we use: put if absent, get. Loopback only, no checks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MISSING = b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>absent</Message></Error>'
_TAKEN = b'<?xml version="1.0"?><Error><Code>PreconditionFailed</Code><Message>taken</Message></Error>'


@dataclass
class Bucket:
    """What was put, by key, and whether it answers."""

    endpoint: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    down: bool = False
    unconditional: int = 0
    """Puts that would have replaced what is there."""

    @property
    def options(self) -> dict[str, Any]:
        """What an S3 client needs to reach it."""
        return {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key_id": "test",
            "secret_access_key": "test",
            "client_options": {"allow_http": True},
            "retry_config": {"max_retries": 0},
        }


@contextmanager
def running_bucket() -> Iterator[Bucket]:
    """Serve a bucket on a free port of this machine."""
    bucket = Bucket()

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            if bucket.down:
                self._answer(503)
            elif self.headers.get("if-none-match") != "*":
                bucket.unconditional += 1
                self._answer(400)
            elif self.path in bucket.objects:
                self._answer(412, _TAKEN)
            else:
                bucket.objects[self.path] = body
                self._answer(200)

        def do_GET(self) -> None:
            if bucket.down:
                self._answer(503)
            elif self.path in bucket.objects:
                self._answer(200, bucket.objects[self.path])
            else:
                self._answer(404, _MISSING)

        def _answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("etag", f'"{sha256(body).hexdigest()}"')
            self.send_header("last-modified", "Tue, 10 Mar 2026 12:00:00 GMT")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bucket.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
