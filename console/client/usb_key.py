"""A hardware key on USB, where the console is local: what an SSH agent does with it, without an agent.

The key files are those of OpenSSH, so that a key serves here and behind an agent alike. What is signed is decided in
`console.client.hardware`. The library that speaks to the device is the optional extra `fido2`.
"""

import asyncio
import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Timer
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from console.client import usb_key_file
from console.client.agent import AgentError, AgentKey, AgentNotUnderstoodError, AgentRefusedError, AgentSilentError
from console.client.usb_key_file import (
    APPLICATION,
    PRESENCE_REQUIRED,
    USB_KEY_VARIABLE,
    VERIFICATION_REQUIRED,
    KeyFile,
    KeyFileError,
)
from contract.errors import ExitCode
from contract.hardware import SK_ECDSA, SK_ED25519
from contract.sshwire import mpint, string

if TYPE_CHECKING:
    from fido2.ctap import CtapDevice
    from fido2.ctap2.base import AssertionResponse, Ctap2

TOUCH_LIMIT_S: Final = 30.0
"""As for a key behind an agent."""
ALGORITHMS: Final = {SK_ED25519: -8, SK_ECDSA: -7}
"""Of COSE, by type of key."""
_PLAIN_DATA_BYTES: Final = 37
"""Of an assertion without extensions: hash of the application, flags, counter."""
_HASH_BYTES: Final = 32
_X, _Y = -2, -3
"""Coordinates in a COSE key."""
_UNCOMPRESSED: Final = b"\x04"
_SIGNATURE_BYTES: Final = 64
_STRICTEST_PROTECTION: Final = 3
"""`credProtect`: the device uses the key only after it has checked its owner."""
_NOT_INSTALLED = "pip install 'watchfloor[fido2]'"


class NoUsbKeyError(AgentError):
    """There is no key on USB, no file that tells of one, or no library to speak to it."""

    exit_code = ExitCode.CONFIGURATION


Devices = Callable[[], "Iterable[CtapDevice]"]
"""Finds the security keys that are plugged in, and opens them."""
AskPin = Callable[[], str]
"""Blocks until the person has typed the key's PIN."""


class _Verified(NamedTuple):
    """How a request shows that the owner was checked."""

    options: dict[str, bool] | None = None
    proof: bytes | None = None
    protocol: int | None = None


def plugged_in() -> "Iterable[CtapDevice]":
    """The security keys on USB.

    Raises:
        NoUsbKeyError: the library is not installed, or cannot look.
    """
    try:
        from fido2.hid import CtapHidDevice
    except ImportError as error:
        raise NoUsbKeyError("Keys on USB need the extra fido2, which is not installed.", _NOT_INSTALLED) from error
    try:
        return list(CtapHidDevice.list_devices())
    except OSError as error:
        raise NoUsbKeyError("USB cannot be looked at.", f"The system says: {error.strerror}.") from error


class UsbKeys:
    """The key of one file, on the device that is plugged in. Has the methods of an agent that are used."""

    def __init__(
        self, file: KeyFile, devices: Devices, ask_pin: AskPin | None, *, touch_limit_s: float = TOUCH_LIMIT_S
    ) -> None:
        """Prepare; no device is opened yet. Without `ask_pin` nobody can be asked for a PIN."""
        self._file = file
        self._devices = devices
        self._ask_pin = ask_pin
        self._touch_limit_s = touch_limit_s

    async def keys(self) -> tuple[AgentKey, ...]:
        """The one key, plugged in or not."""
        return (AgentKey(self._file.blob, self._file.kind, self._file.comment),)

    async def sign(self, key: AgentKey, message: bytes) -> bytes:
        """A signature as OpenSSH carries it; waits for a touch.

        Raises:
            AgentError: one of its kinds.
        """
        if key.blob != self._file.blob:
            raise AgentRefusedError("That is not the key on USB.")
        over = Event()
        try:
            return await asyncio.to_thread(self._sign, message, over)
        finally:
            over.set()  # whoever gives up does not leave the device blinking

    def _sign(self, message: bytes, over: Event) -> bytes:
        with _device(self._devices) as device, _failures_named(self._touch_limit_s), _ends(over, self._touch_limit_s):
            return _signature(self._file, _asserted(device, self._file, message, self._ask_pin, over))


def from_environment(environment: Mapping[str, str], ask_pin: AskPin | None) -> UsbKeys:
    """The key on USB that the environment names.

    Raises:
        NoUsbKeyError: the file that it names tells of no hardware key.
    """
    path = environment.get(USB_KEY_VARIABLE, "")
    try:
        return UsbKeys(usb_key_file.read(Path(path)), plugged_in, ask_pin)
    except KeyFileError as error:
        hint = "It is made with: watchfloor usb-key make FILE, or: ssh-keygen -t ed25519-sk"
        raise NoUsbKeyError(f"{USB_KEY_VARIABLE} names {path}, which cannot be used: {error}.", hint) from error


def make(devices: Devices, ask_pin: AskPin | None, *, kind: str, verified: bool, comment: str, nonce: bytes) -> KeyFile:
    """Have the device make a key, and tell of it; waits for a touch. `nonce`: 32 random bytes.

    Raises:
        AgentError: one of its kinds.
    """
    over = Event()
    with _device(devices) as device, _failures_named(TOUCH_LIMIT_S), _ends(over, TOUCH_LIMIT_S):
        from fido2.ctap2.base import Ctap2

        ctap = Ctap2(device)
        protect = {"credProtect": _STRICTEST_PROTECTION} if verified and "credProtect" in ctap.info.extensions else None

        def once(shown: _Verified) -> Any:
            return ctap.make_credential(
                nonce,
                {"id": APPLICATION, "name": APPLICATION},
                {"id": hashlib.sha256(nonce).digest(), "name": "watchfloor", "displayName": "watchfloor"},
                [{"type": "public-key", "alg": ALGORITHMS[kind]}],
                extensions=protect,
                options=shown.options,
                pin_uv_param=shown.proof,
                pin_uv_protocol=shown.protocol,
                event=over,
            )

        answer = _with_owner(ctap, nonce, ask_pin, once, wanted=verified, making=True)
    return _made(answer.auth_data.credential_data, kind, verified=verified, comment=comment)


def _made(credential: Any, kind: str, *, verified: bool, comment: str) -> KeyFile:
    if credential is None or credential.public_key.get(3) != ALGORITHMS[kind]:
        raise AgentNotUnderstoodError("The security key made another kind of key than it was asked for.")
    x, y = credential.public_key.get(_X), credential.public_key.get(_Y, b"")
    point = x if kind == SK_ED25519 else _UNCOMPRESSED + x + y
    flags = PRESENCE_REQUIRED | (VERIFICATION_REQUIRED if verified else 0)
    return KeyFile(kind, point, APPLICATION, flags, bytes(credential.credential_id), comment)


def _asserted(
    device: "CtapDevice", file: KeyFile, message: bytes, ask_pin: AskPin | None, over: Event
) -> "AssertionResponse":
    from fido2.ctap2.base import Ctap2

    ctap, digest = Ctap2(device), hashlib.sha256(message).digest()

    def once(shown: _Verified) -> "AssertionResponse":
        return ctap.get_assertion(
            file.application,
            digest,
            [{"type": "public-key", "id": file.handle}],
            options=shown.options,
            pin_uv_param=shown.proof,
            pin_uv_protocol=shown.protocol,
            event=over,
        )

    answer: AssertionResponse = _with_owner(
        ctap, digest, ask_pin, once, wanted=file.wants_verification, application=file.application
    )
    return answer


def _with_owner(
    ctap: "Ctap2",
    digest: bytes,
    ask_pin: AskPin | None,
    once: Callable[[_Verified], Any],
    *,
    wanted: bool,
    application: str = APPLICATION,
    making: bool = False,
) -> Any:
    """Ask the device, with its owner checked where the key or the device wants that."""
    from fido2.ctap import CtapError

    if not wanted:
        try:
            return once(_Verified())
        except CtapError as error:
            if error.code != CtapError.ERR.PUAT_REQUIRED:
                raise
    if ctap.info.options.get("uv"):
        return once(_Verified(options={"uv": True}))
    return once(_pin_shown(ctap, digest, ask_pin, application, making=making))


def _pin_shown(ctap: "Ctap2", digest: bytes, ask_pin: AskPin | None, application: str, *, making: bool) -> _Verified:
    from fido2.ctap2.pin import ClientPin

    if ask_pin is None:
        raise AgentRefusedError(
            "The security key wants its PIN, which this screen cannot ask for.", "Sign in with: watchfloor login"
        )
    client = ClientPin(ctap)
    wanted = ClientPin.PERMISSION.MAKE_CREDENTIAL if making else ClientPin.PERMISSION.GET_ASSERTION
    token = client.get_pin_token(ask_pin(), permissions=wanted, permissions_rpid=application)
    return _Verified(proof=client.protocol.authenticate(token, digest), protocol=client.protocol.VERSION)


def _signature(file: KeyFile, answer: "AssertionResponse") -> bytes:
    """The device's answer as OpenSSH carries it: type, signature, flags, counter."""
    data = bytes(answer.auth_data)
    if len(data) != _PLAIN_DATA_BYTES or data[:_HASH_BYTES] != hashlib.sha256(file.application.encode()).digest():
        raise AgentNotUnderstoodError("The security key signed something else than it was asked for.")
    if file.kind == SK_ED25519:
        proof = answer.signature
        if len(proof) != _SIGNATURE_BYTES:
            raise AgentNotUnderstoodError("The security key's signature cannot be read.")
    else:
        try:
            proof = b"".join(mpint(number) for number in decode_dss_signature(answer.signature))
        except ValueError as error:
            raise AgentNotUnderstoodError("The security key's signature cannot be read.") from error
    flags, counter = struct.unpack(">BI", data[_HASH_BYTES:])
    return string(file.kind.encode()) + string(proof) + struct.pack(">BI", flags, counter)


@contextmanager
def _device(devices: Devices) -> "Iterator[CtapDevice]":
    """The one security key that is plugged in, closed afterwards; with several nobody knows which would blink."""
    found = list(devices())
    try:
        if not found:
            raise NoUsbKeyError("No security key is plugged in.", "Plug it in; over SSH, use agent forwarding instead.")
        if len(found) > 1:
            raise NoUsbKeyError("Several security keys are plugged in.", "Leave in the one to be used.")
        yield found[0]
    finally:
        for each in found:
            each.close()


@contextmanager
def _ends(over: Event, after_s: float) -> Iterator[None]:
    timer = Timer(after_s, over.set)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _failures_named(limit_s: float) -> Iterator[None]:
    """Turn the library's errors into ours, each a sentence with what to do next."""
    from fido2.ctap import CtapError

    err = CtapError.ERR
    silent = (err.KEEPALIVE_CANCEL, err.USER_ACTION_TIMEOUT, err.ACTION_TIMEOUT, err.TIMEOUT)
    try:
        yield
    except CtapError as error:
        if error.code in silent:
            raise AgentSilentError(f"Nobody touched the security key within {limit_s:g} s.", "Try again.") from error
        raise AgentRefusedError(*_said(error)) from error
    except (OSError, ValueError, TypeError) as error:
        hint = "Plug it in anew; it has to know FIDO2."
        raise NoUsbKeyError("The security key cannot be spoken to.", hint) from error


def _said(error: Any) -> tuple[str, str | None]:
    err = type(error).ERR
    words = {
        err.NO_CREDENTIALS: ("The security key that is plugged in does not hold this key.", "Plug in the other one."),
        err.INVALID_CREDENTIAL: ("The security key that is plugged in does not hold this key.", "Use the other one."),
        err.PIN_INVALID: ("The PIN is wrong.", "After eight wrong ones the security key is of no use any more."),
        err.PIN_AUTH_BLOCKED: ("The PIN was wrong too often.", "Plug the security key out and in, and try again."),
        err.PIN_BLOCKED: ("The PIN was wrong too often: the security key is locked for good.", "Reset it."),
        err.PIN_NOT_SET: ("The security key has no PIN.", "Give it one with its maker's program."),
        err.UNSUPPORTED_ALGORITHM: ("The security key does not know this type of key.", "Use the type ecdsa."),
        err.OPERATION_DENIED: ("The security key was not allowed to.", None),
    }
    return words.get(error.code, (f"The security key refused ({getattr(error.code, 'name', 'unknown')}).", None))
