"""What tests of sessions ask of a backend, however many tests and backends there are."""

import contextlib

import httpx

from tests.support.sse import Reader


async def code_of(client: httpx.AsyncClient, path: str, method: str = "GET", **more: object) -> str:
    """What an error is called, `ok` if there is none."""
    answer = await client.request(method, path, **more)  # type: ignore[arg-type]
    return "ok" if answer.is_success else str(answer.json()["code"])


async def sessions_of(client: httpx.AsyncClient, path: str = "/v1/sessions") -> list[dict[str, object]]:
    """The sessions of a list."""
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, object]] = answer.json()["items"]
    return items


async def ends(stream: Reader) -> None:
    """Read until the server ends the stream."""
    with contextlib.suppress(EOFError):
        while True:
            await stream.next(beats=True)
