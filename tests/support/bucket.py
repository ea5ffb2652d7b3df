"""A bucket in memory that speaks as much of S3 as we use: put if absent, get, list. Loopback only, no checks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_MISSING = b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>absent</Message></Error>'
_TAKEN = b'<?xml version="1.0"?><Error><Code>PreconditionFailed</Code><Message>taken</Message></Error>'


def _listing(path: str, objects: dict[str, bytes]) -> bytes:
    """All keys below a prefix, on one page."""
    asked = urlsplit(path)
    prefix = parse_qs(asked.query).get("prefix", [""])[0]
    keys = [key.removeprefix(f"{asked.path}/") for key in objects if key.startswith(f"{asked.path}/{prefix}")]
    rows = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><ETag>x</ETag>"
        "<LastModified>2026-03-10T12:00:00.000Z</LastModified></Contents>"
        for key in sorted(keys)
    )
    told = f"<Name>b</Name><KeyCount>{len(keys)}</KeyCount><IsTruncated>false</IsTruncated>{rows}"
    return f'<?xml version="1.0"?><ListBucketResult>{told}</ListBucketResult>'.encode()


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


def _given(bucket: Bucket, path: str) -> tuple[int, bytes]:
    if bucket.down:
        return 503, b""
    if "list-type=2" in path:
        return 200, _listing(path, bucket.objects)
    return (200, bucket.objects[path]) if path in bucket.objects else (404, _MISSING)


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
            self._answer(*_given(bucket, self.path))

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
