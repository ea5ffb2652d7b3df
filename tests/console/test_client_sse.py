"""The event-stream parser against a naive reading of the WHATWG rules, for any split into chunks."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.client import sse
from console.client.sse import Parser, ServerSentEvent, StreamTooLarge

PIECES = st.sampled_from(
    [
        *(b"data: a", b"data:b", b"data", b"data:", b"event: alert", b"event", b"id: 7", b"id", b"id: x\x00y"),
        *(b": beat", b":", b"retry: 10", b"nonsense", b"data: \xe2\x82\xac", b"data: \xff\xe2", b"\xef\xbb\xbf"),
        *(b"\n", b"\n\n", b"\r\n", b"\r", b"\r\r\n", b"\n\r"),
    ]
)


def naive(stream: bytes) -> list[ServerSentEvent]:
    """The whole text at once, line by line, as the specification tells it."""
    text = stream.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    lines = re.split("\r\n|\r|\n", text)[:-1]
    events: list[ServerSentEvent] = []
    kind, data, ident = "", "", ""
    for line in lines:
        if line == "":
            if data:
                events.append(ServerSentEvent(kind or "message", data.removesuffix("\n"), ident))
            kind, data = "", ""
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                kind = value
            elif name == "data":
                data += value + "\n"
            elif name == "id" and "\x00" not in value:
                ident = value
    return events


def feed_all(parser: Parser, chunks: list[bytes]) -> list[ServerSentEvent]:
    return [event for chunk in chunks for event in parser.feed(chunk)]


@given(st.lists(PIECES, max_size=40).map(b"".join), st.data())
def test_any_split_gives_what_the_naive_parser_gives(stream: bytes, data: st.DataObject) -> None:
    # a lone CR at the very end may be half of a CRLF for the naive splitter too: end on a sure line end
    stream += b"\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parser = Parser()
    chunks = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert feed_all(parser, chunks) == naive(stream)


@given(st.binary(max_size=300), st.integers(1, 7))
def test_arbitrary_bytes_in_small_chunks(stream: bytes, size: int) -> None:
    stream += b"\n"
    parser = Parser()
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert feed_all(parser, chunks) == naive(stream)


def test_an_event_cut_off_by_the_end_is_not_dispatched() -> None:
    parser = Parser()
    assert parser.feed(b"id: 4\ndata: half") == []
    assert parser.last_event_id == ""


def test_an_id_counts_only_once_its_event_is_complete() -> None:
    parser = Parser("3")
    assert parser.feed(b"id: 4\ndata: x\n") == []
    assert parser.last_event_id == "3"
    assert parser.feed(b"\n") == [ServerSentEvent("message", "x", "4")]
    assert parser.last_event_id == "4"


def test_an_endless_line_is_given_up_in_bounded_memory() -> None:
    parser = Parser()
    chunk = b"x" * 65_536
    with pytest.raises(StreamTooLarge):
        feed_all(parser, [chunk] * (sse.MAX_LINE_BYTES // len(chunk) + 2))
    assert len(parser._line) <= sse.MAX_LINE_BYTES + len(chunk)


def test_an_endless_event_is_given_up() -> None:
    parser = Parser()
    line = b"data: " + b"x" * 100_000 + b"\n"
    with pytest.raises(StreamTooLarge):
        feed_all(parser, [line] * (sse.MAX_EVENT_BYTES // 100_000 + 2))
