"""The wire format of SSH (RFC 4251), both ways: length-prefixed strings and integers. Owns no message.

Reading is strict: what is not exactly the expected bytes is malformed. Never guesses and never reads past the end.
"""

import base64
import binascii
import struct

_LENGTH_BYTES = 4
_HIGH_BIT = 0x80


class MalformedError(ValueError):
    """The bytes are not what they claim to be; the message says where they stop making sense."""


class Reader:
    """Takes values off the front of a message; `what` names the message in complaints."""

    def __init__(self, raw: bytes, what: str) -> None:
        self._raw = raw
        self._at = 0
        self._what = what

    def malformed(self, why: str) -> MalformedError:
        """A complaint about this message, to be raised."""
        return MalformedError(f"{self._what} {why}")

    def byte(self) -> int:
        """One byte.

        Raises:
            MalformedError: nothing is left.
        """
        return self._take(1)[0]

    def uint32(self) -> int:
        """A number of four bytes, most significant first.

        Raises:
            MalformedError: fewer bytes are left.
        """
        (number,) = struct.unpack(">I", self._take(_LENGTH_BYTES))
        return int(number)

    def string(self, *, max_bytes: int) -> bytes:
        """A length and that many bytes.

        Raises:
            MalformedError: it is longer than allowed, or than what is left.
        """
        length = self.uint32()
        if length > max_bytes:
            raise self.malformed(f"has a field of {length} bytes where {max_bytes} are allowed")
        return self._take(length)

    def name(self, *, max_bytes: int) -> str:
        """A string of printable ASCII, as names of algorithms are.

        Raises:
            MalformedError: it is no such string.
        """
        raw = self.string(max_bytes=max_bytes)
        if not all(0x21 <= each <= 0x7E for each in raw):  # noqa: PLR2004  the printable range of ASCII without space
            raise self.malformed("has a name that is not printable ASCII")
        return raw.decode("ascii")

    def positive(self, *, max_bytes: int) -> int:
        """An mpint above zero in its one canonical spelling.

        Raises:
            MalformedError: it is zero, negative, padded or longer than `max_bytes`, the sign byte not counted.
        """
        raw = self.string(max_bytes=max_bytes + 1)
        if not raw:
            raise self.malformed("has a number that is zero")
        if raw[0] & _HIGH_BIT:
            raise self.malformed("has a negative number")
        if raw[0] == 0 and not (len(raw) > 1 and raw[1] & _HIGH_BIT):
            raise self.malformed("has a number with padding")
        if raw[0] != 0 and len(raw) > max_bytes:
            raise self.malformed("has a number that is too large")
        return int.from_bytes(raw)

    def end(self) -> None:
        """See that nothing is left.

        Raises:
            MalformedError: something follows.
        """
        if self._at != len(self._raw):
            raise self.malformed(f"has {len(self._raw) - self._at} bytes too many")

    def _take(self, count: int) -> bytes:
        taken = self._raw[self._at : self._at + count]
        if len(taken) != count:
            raise self.malformed("ends too early")
        self._at += count
        return taken


def string(raw: bytes) -> bytes:
    """The bytes with their length in front."""
    return struct.pack(">I", len(raw)) + raw


def mpint(number: int) -> bytes:
    """A number that is not negative, in its one canonical spelling."""
    return string(number.to_bytes(number.bit_length() // 8 + 1) if number else b"")


def encode64(raw: bytes) -> str:
    """Base64 as SSH writes it: padded, no line breaks."""
    return base64.b64encode(raw).decode("ascii")


def decode64(text: str, what: str) -> bytes:
    """The bytes of canonical base64: one text for each value, so that text can be compared.

    Raises:
        MalformedError: it is not base64, or another spelling of it.
    """
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise MalformedError(f"{what} is not base64") from error
    if encode64(raw) != text:
        raise MalformedError(f"{what} is not base64 in its canonical spelling")
    return raw
