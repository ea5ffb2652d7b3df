"""Keys on USB: made, used and refused through python-fido2, judged by the backend's verifier and by OpenSSH."""

import asyncio
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("fido2", reason="the extra fido2 is not installed")

from backend.auth.hardware.challenge import Enrolled, challenge, check
from backend.auth.hardware.errors import NotVerifiedError
from backend.auth.hardware.keys import parse_line
from backend.auth.hardware.signatures import verify
from console import cli
from console.client import usb_key, usb_key_file
from console.client.agent import AgentError, AgentKey, AgentNotUnderstoodError, AgentRefusedError, AgentSilentError
from console.client.hardware import Intent, answer
from console.client.touch import signer
from console.client.usb_key import NoUsbKeyError, UsbKeys, make
from console.client.usb_key_file import USB_KEY_VARIABLE, KeyFile, KeyFileError
from contract.hardware import (
    HARDWARE_KEY_TYPES,
    NAMESPACE,
    SK_ECDSA,
    SK_ED25519,
    HardwareAct,
    bytes_to_sign,
    statement_bytes,
)
from contract.sshwire import encode64, string
from tests.support.hardware import NOW, ORIGIN, need_openssh, run, statement
from tests.support.usb_device import SoftDevice

NONCE = bytes(range(32))
INTENT = Intent("officer1", ORIGIN, HardwareAct.SIGN_IN)


def _made(device: SoftDevice, kind: str = SK_ED25519, *, verified: bool = False, pin: str = "1234") -> KeyFile:
    return make(lambda: [device], lambda: pin, kind=kind, verified=verified, comment="desk 4", nonce=NONCE)


def _keys(device: SoftDevice, file: KeyFile, *, pin: str | None = None, limit_s: float = 30.0) -> UsbKeys:
    return UsbKeys(file, lambda: [device], (lambda: pin) if pin else None, touch_limit_s=limit_s)


async def _signed(device: SoftDevice, file: KeyFile, message: bytes = b"message", pin: str | None = None) -> bytes:
    keys = _keys(device, file, pin=pin)
    return await keys.sign((await keys.keys())[0], message)


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
async def test_the_backend_takes_what_a_key_on_usb_signs(kind: str) -> None:
    device, said = SoftDevice(), list[str]()
    file = _made(device, kind)
    enrolled, comment = parse_line(file.line)
    assert (enrolled.blob, comment, device.made_with["rp"]) == (file.blob, "desk 4", "ssh:")
    counter = 0
    for _ in range(2):
        asked = challenge(statement(), [enrolled], needs_verification=False)
        given = await answer(asked, INTENT, _keys(device, file), said.append)
        held = [Enrolled(enrolled, counter)]
        accepted = check(given, statement(), held, now=NOW, needs_verification=False)
        assert (accepted.counter > counter, accepted.verified) == (True, False)
        counter = accepted.counter
        with pytest.raises(NotVerifiedError):
            check(given, statement(), [Enrolled(enrolled, 0)], now=NOW, needs_verification=True)
    assert len(said) == 2
    assert device.closed == 3


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
async def test_openssh_takes_what_a_key_on_usb_signs(kind: str, tmp_path: Path) -> None:
    need_openssh()
    device = SoftDevice()
    file = _made(device, kind)
    signature = await _signed(device, file, bytes_to_sign(statement()))
    fields = (file.blob, NAMESPACE.encode(), b"", b"sha512", signature)
    raw = b"SSHSIG" + struct.pack(">I", 1) + b"".join(string(field) for field in fields)
    (tmp_path / "sig").write_text(f"-----BEGIN SSH SIGNATURE-----\n{encode64(raw)}\n-----END SSH SIGNATURE-----\n")
    (tmp_path / "allowed").write_text(f"officer1 {file.line}\n")
    files = ("-f", str(tmp_path / "allowed"), "-s", str(tmp_path / "sig"))
    command = ("ssh-keygen", "-Y", "verify", *files, "-I", "officer1", "-n", NAMESPACE)
    good = await run(*command, given=statement_bytes(statement()))
    assert good.code == 0, good.said
    assert (await run(*command, given=b"something else")).code != 0


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
async def test_openssh_reads_the_files_that_are_made(kind: str, tmp_path: Path) -> None:
    need_openssh()
    file = _made(SoftDevice(), kind)
    public = usb_key_file.write(tmp_path / "id_sk", file)
    assert ((tmp_path / "id_sk").stat().st_mode & 0o777, usb_key_file.read(tmp_path / "id_sk")) == (0o600, file)
    shown = await run("ssh-keygen", "-y", "-f", str(tmp_path / "id_sk"))
    assert (shown.code, shown.said.split()[:2]) == (0, file.line.split()[:2]), shown.said
    listed = await run("ssh-keygen", "-l", "-f", str(public))
    assert parse_line(file.line)[0].fingerprint in listed.said
    with pytest.raises(FileExistsError):
        usb_key_file.write(tmp_path / "id_sk", file)


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
async def test_a_key_that_has_to_know_its_owner_asks_for_the_pin(kind: str) -> None:
    device = SoftDevice(pin="1234")
    file = _made(device, kind, verified=True)
    assert (file.wants_verification, device.made_with["protect"]) == (True, 3)
    found = verify(parse_line(file.line)[0], await _signed(device, file, pin="1234"), b"message")
    assert (found.present, found.verified, device.made_with["application"]) == (True, True, "ssh:")
    with pytest.raises(AgentRefusedError, match="PIN is wrong"):
        await _signed(device, file, pin="4321")
    with pytest.raises(AgentRefusedError, match="cannot ask for"):
        await _signed(device, file)


async def test_a_fingerprint_stands_in_for_the_pin() -> None:
    device = SoftDevice(built_in=True)
    file = _made(device, verified=True)
    assert verify(parse_line(file.line)[0], await _signed(device, file), b"message").verified


async def test_a_device_that_always_wants_its_pin_is_asked_again_with_it() -> None:
    device = SoftDevice(pin="1234", always_verifies=True)
    file = _made(device)
    assert not file.wants_verification
    assert verify(parse_line(file.line)[0], await _signed(device, file, pin="1234"), b"message").verified


async def _until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(25.0):
        while not so():  # noqa: ASYNC110  another thread's doing
            await asyncio.sleep(0.01)


async def test_nobody_touches_it() -> None:
    device = SoftDevice()
    file = _made(device)
    device.touched = False
    keys = _keys(device, file, limit_s=0.05)
    with pytest.raises(AgentSilentError, match="Nobody touched"):
        await keys.sign((await keys.keys())[0], b"message")
    patient = _keys(device, file)
    waiting = asyncio.create_task(patient.sign((await patient.keys())[0], b"message"))
    await _until(lambda: len(device.requests) >= 6)  # the device has the question
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await _until(lambda: device.closed >= 3)  # whoever gives up does not leave it blinking for half a minute


def _with(**behaviour: object) -> Callable[[SoftDevice], None]:
    def change(device: SoftDevice) -> None:
        for name, value in behaviour.items():
            setattr(device, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (_with(keys={}), AgentRefusedError, "does not hold this key"),
        (_with(other_application=True), AgentNotUnderstoodError, "something else"),
        (_with(with_extensions=True), AgentNotUnderstoodError, "something else"),
    ],
)
async def test_a_device_that_does_not_help(
    change: Callable[[SoftDevice], None], error: type[AgentError], said: str
) -> None:
    device = SoftDevice()
    file = _made(device)
    change(device)
    with pytest.raises(error, match=said):
        await _signed(device, file)


async def test_a_device_without_the_type_says_which_to_use() -> None:
    with pytest.raises(AgentRefusedError, match="type of key"):
        _made(SoftDevice(algorithms=(-7,)))
    assert _made(SoftDevice(algorithms=(-7,)), SK_ECDSA).kind == SK_ECDSA


async def test_one_security_key_at_a_time() -> None:
    device, other = SoftDevice(), SoftDevice()
    file = _made(device)
    plugged: list[SoftDevice] = []
    keys = UsbKeys(file, lambda: plugged, None)
    for said in ("No security key", "Several"):
        with pytest.raises(NoUsbKeyError, match=said):
            await keys.sign((await keys.keys())[0], b"message")
        plugged += [device, other]
    assert other.closed == 1
    with pytest.raises(AgentRefusedError):
        await _keys(device, file).sign(AgentKey(b"other", SK_ED25519, ""), b"message")


def test_the_environment_says_whether_the_agent_or_usb(tmp_path: Path) -> None:
    usb_key_file.write(tmp_path / "id_sk", _made(SoftDevice()))
    found = signer({USB_KEY_VARIABLE: str(tmp_path / "id_sk"), "SSH_AUTH_SOCK": "/nowhere"}, None)
    assert isinstance(found, UsbKeys)
    with pytest.raises(NoUsbKeyError, match="names"):
        signer({USB_KEY_VARIABLE: str(tmp_path / "absent")}, None)
    with pytest.raises(AgentError, match="no SSH agent"):
        signer({}, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no private key file"),
        ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", "no private key file"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "no private key file"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n!!!!\n-----END OPENSSH PRIVATE KEY-----", "base64"),
    ],
)
def test_a_file_that_is_none_of_a_hardware_key_is_refused(text: str, said: str) -> None:
    with pytest.raises(KeyFileError, match=said):
        usb_key_file.parse(text)


async def test_files_of_other_keys_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    need_openssh()
    for options, said in ((("-N", ""), "no hardware key, but ssh-ed25519"), (("-N", "secret"), "passphrase")):
        path = tmp_path / said[:4]
        assert (await run("ssh-keygen", "-q", "-t", "ed25519", *options, "-f", str(path))).code == 0
        with pytest.raises(KeyFileError, match=said):
            usb_key_file.read(path)
    text = _made(SoftDevice()).text
    for start in range(40, len(text) - 80, 7):
        changed = text[:start] + ("B" if text[start] != "B" else "C") + text[start + 1 :]
        try:
            usb_key_file.parse(changed)
        except KeyFileError:
            continue  # what is not refused is another handle, flag or comment: the device or the backend judges


def test_the_command_makes_both_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    device = SoftDevice()
    monkeypatch.setattr(usb_key, "plugged_in", lambda: [device])
    file = tmp_path / "id_sk"
    assert cli.main(["usb-key", "make", str(file), "--type", "ecdsa", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    key, _ = parse_line(Path(f"{file}.pub").read_text())
    assert (told["schema"], told["fingerprint"], key.kind) == ("watchfloor.usb_key.make/1", key.fingerprint, SK_ECDSA)
    assert cli.main(["usb-key", "make", str(file)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_without_the_extra_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fido2.hid", None)
    assert cli.main(["usb-key", "make", str(tmp_path / "id_sk")]) == 3
    said = capsys.readouterr().err
    assert "not installed" in said
    assert "watchfloor[fido2]" in said
