"""Reads the text of a PDF back that our own printing wrote: streams by Flate, fonts with a table of characters."""

import base64
import re
import zlib
from typing import Final

_OBJECT: Final = re.compile(rb"(\d+) 0 obj\s(.*?)endobj", re.DOTALL)
_STREAM: Final = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)
_FONT: Final = re.compile(rb"/(F[\w+]+) (\d+) 0 R")
_TABLE: Final = re.compile(rb"/ToUnicode (\d+) 0 R")
_SHOWN: Final = re.compile(rb"/(F[\w+]+) [\d.]+ Tf|\(((?:\\.|[^\\()])*)\) Tj|(T\*|BT)", re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)


def text_of(pdf: bytes) -> str:
    """Everything that is printed, in the order of the file, blanks between what is set apart."""
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    fonts = {
        name: _characters(objects, int(number)) for body in objects.values() for name, number in _FONT.findall(body)
    }
    pages = [_unpacked(body) for body in objects.values() if b"stream" in body]
    return " ".join(" ".join(_words(page, fonts)) for page in pages if b" Tj" in page)


def _unpacked(body: bytes) -> bytes:
    found = _STREAM.search(body)
    raw = b"" if found is None else found[1].strip()
    if b"/ASCII85Decode" in body:
        raw = base64.a85decode(raw.removesuffix(b"~>"))
    return zlib.decompress(raw) if b"/FlateDecode" in body else raw


def _characters(objects: dict[int, bytes], number: int) -> dict[int, str]:
    table = _TABLE.search(objects.get(number, b""))
    return {} if table is None else _read_table(_unpacked(objects[int(table[1])]))


def _read_table(raw: bytes) -> dict[int, str]:
    known: dict[int, str] = {}
    for block in re.findall(rb"begin(bfchar|bfrange)(.*?)end", raw, re.DOTALL):
        if block[0] == b"bfrange":
            for first, _, names in re.findall(rb"<(\w+)> <(\w+)>\s*\[(.*?)\]", block[1], re.DOTALL):
                for at, name in enumerate(re.findall(rb"<(\w+)>", names)):
                    known[int(first, 16) + at] = chr(int(name, 16))
            for first, last, name in re.findall(rb"<(\w+)> <(\w+)> <(\w+)>", block[1]):
                for at in range(int(last, 16) - int(first, 16) + 1):
                    known[int(first, 16) + at] = chr(int(name, 16) + at)
        else:
            known |= {int(code, 16): chr(int(name, 16)) for code, name in re.findall(rb"<(\w+)> <(\w+)>", block[1])}
    return known


def _words(page: bytes, fonts: dict[bytes, dict[int, str]]) -> list[str]:
    words, font = [""], dict[int, str]()
    for name, shown, apart in _SHOWN.findall(page):
        if name:
            font = fonts.get(name, {})
        elif apart:
            words.append("")
        else:
            codes = _ESCAPE.sub(_plain, shown)
            words[-1] += "".join(font.get(code, chr(code)) for code in codes)
    return words


def _plain(found: re.Match[bytes]) -> bytes:
    code = found[1]
    if len(code) > 1:
        return bytes([int(code, 8)])
    return {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}.get(code, code)
