"""A security key made of software that speaks CTAP2 where python-fido2 meets a device on USB.

The HID frames below are the library's own affair: nothing here stands for them.
"""

import hashlib
import hmac
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor
from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.hid import CAPABILITY, CTAPHID

_ERR = CtapError.ERR
_MAKE, _GET, _INFO, _PIN = 0x01, 0x02, 0x04, 0x06
_KEY_AGREEMENT, _TOKEN_LEGACY, _TOKEN = 0x02, 0x05, 0x09
_UP, _UV, _AT, _ED = 0x01, 0x04, 0x40, 0x80
_PATIENCE_S = 30.0
Key = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


class _RefusedError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class SoftDevice(CtapDevice):
    """Keys in memory; a test changes how it behaves."""

    pin: str | None = None
    always_verifies: bool = False
    """It does nothing at all without its PIN."""
    built_in: bool = False
    """It has a fingerprint reader, and the finger fits."""
    touched: bool = True
    algorithms: tuple[int, ...] = (-8, -7)
    counts: bool = True
    other_application: bool = False
    with_extensions: bool = False
    counter: int = 0
    closed: int = 0
    requests: list[int] = field(default_factory=list)
    made_with: dict[str, Any] = field(default_factory=dict)
    keys: dict[bytes, tuple[int, Key]] = field(default_factory=dict)
    _agreement: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    _token: bytes = field(default_factory=lambda: os.urandom(32))

    @property
    def capabilities(self) -> int:
        """It knows CTAP2."""
        return int(CAPABILITY.CBOR)

    def close(self) -> None:
        """Counted: whoever opens a device closes it."""
        self.closed += 1

    @classmethod
    def list_devices(cls) -> Iterator[Self]:
        """It is not on USB."""
        return iter(())

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """One command and its answer."""
        assert cmd == CTAPHID.CBOR
        asked: Any = cbor.decode(data[1:]) if len(data) > 1 else {}
        self.requests.append(data[0])
        try:
            done = {_INFO: self._info, _MAKE: self._make, _GET: self._get, _PIN: self._client_pin}[data[0]]
            return b"\0" + cbor.encode(done(asked, event))
        except _RefusedError as refused:
            return bytes([refused.code])

    def _info(self, _: Any, __: Event | None) -> dict[int, Any]:
        options: dict[str, bool] = {"rk": True, "up": True, "pinUvAuthToken": True}
        if self.built_in:
            options["uv"] = True
        if self.pin is not None:
            options["clientPin"] = True
        listed = [{"type": "public-key", "alg": one} for one in self.algorithms]
        return {1: ["FIDO_2_1"], 2: ["credProtect"], 3: bytes(16), 4: options, 6: [1], 10: listed}

    def _client_pin(self, asked: Any, _: Event | None) -> dict[int, Any]:
        if asked[2] == _KEY_AGREEMENT:
            numbers = self._agreement.public_key().public_numbers()
            x, y = numbers.x.to_bytes(32), numbers.y.to_bytes(32)
            return {1: {1: 2, 3: -25, -1: 1, -2: x, -3: y}}
        assert asked[2] == _TOKEN
        theirs = ec.EllipticCurvePublicNumbers(
            int.from_bytes(asked[3][-2]), int.from_bytes(asked[3][-3]), ec.SECP256R1()
        ).public_key()
        cipher = Cipher(
            algorithms.AES(hashlib.sha256(self._agreement.exchange(ec.ECDH(), theirs)).digest()), modes.CBC(bytes(16))
        )
        shown = cipher.decryptor().update(asked[6])
        if self.pin is None or shown != hashlib.sha256(self.pin.encode()).digest()[:16]:
            raise _RefusedError(_ERR.PIN_INVALID)
        self.made_with["application"] = asked[10]
        return {2: cipher.encryptor().update(self._token)}

    def _owner(self, digest: bytes, options: Any, proof: bytes | None) -> int:
        if proof is not None:
            if not hmac.compare_digest(hmac.digest(self._token, digest, "sha256")[:16], proof):
                raise _RefusedError(_ERR.PIN_AUTH_INVALID)
            return _UV
        if (options or {}).get("uv"):
            if not self.built_in:
                raise _RefusedError(_ERR.INVALID_OPTION)
            return _UV
        if self.always_verifies:
            raise _RefusedError(_ERR.PUAT_REQUIRED)
        return 0

    def _touch(self, event: Event | None) -> None:
        if self.touched:
            return
        assert event is not None
        raise _RefusedError(_ERR.KEEPALIVE_CANCEL if event.wait(_PATIENCE_S) else _ERR.USER_ACTION_TIMEOUT)

    def _data(self, application: str, flags: int, more: bytes = b"") -> bytes:
        self.counter += 1
        named = "other:" if self.other_application else application
        count = self.counter if self.counts else 0
        return hashlib.sha256(named.encode()).digest() + struct.pack(">BI", flags, count) + more

    def _make(self, asked: Any, event: Event | None) -> dict[int, Any]:
        algorithm = asked[4][0]["alg"]
        if algorithm not in self.algorithms:
            raise _RefusedError(_ERR.UNSUPPORTED_ALGORITHM)
        flags = _UP | _AT | self._owner(asked[1], asked.get(7), asked.get(8))
        self._touch(event)
        self.made_with |= {"protect": (asked.get(6) or {}).get("credProtect"), "rp": asked[2]["id"]}
        key: Key = Ed25519PrivateKey.generate() if algorithm == -8 else ec.generate_private_key(ec.SECP256R1())
        handle = os.urandom(48)
        self.keys[handle] = (algorithm, key)
        attested = bytes(16) + struct.pack(">H", len(handle)) + handle + cbor.encode(_cose(key))
        return {1: "none", 2: self._data(asked[2]["id"], flags, attested), 3: {}}

    def _get(self, asked: Any, event: Event | None) -> dict[int, Any]:
        handle = asked[3][0]["id"]
        if handle not in self.keys:
            raise _RefusedError(_ERR.NO_CREDENTIALS)
        flags = _UP | self._owner(asked[2], asked.get(5), asked.get(6))
        self._touch(event)
        more = cbor.encode({"x": True}) if self.with_extensions else b""
        data = self._data(asked[1], flags | (_ED if more else 0), more)
        _, key = self.keys[handle]
        signed = data + asked[2]
        proof = key.sign(signed) if isinstance(key, Ed25519PrivateKey) else key.sign(signed, ec.ECDSA(SHA256()))
        return {1: {"type": "public-key", "id": handle}, 2: data, 3: proof}


def _cose(key: Key) -> dict[int, Any]:
    if isinstance(key, Ed25519PrivateKey):
        return {1: 1, 3: -8, -1: 6, -2: key.public_key().public_bytes_raw()}
    numbers = key.public_key().public_numbers()
    return {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
