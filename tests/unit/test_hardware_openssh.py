"""OpenSSH itself as the peer: it reads our keys, signs through our agent and verifies; ordinary keys are refused."""

import base64
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.auth.hardware.errors import KeyRefusedError, SignatureRefusedError
from backend.auth.hardware.keys import parse_blob, parse_line
from backend.auth.hardware.signatures import verify
from console.client.agent import Agent, AgentRefusedError
from console.client.hardware import NoHardwareKeyError, usable_keys
from contract.hardware import (
    HARDWARE_KEY_TYPES,
    NAMESPACE,
    SK_ED25519,
    HardwareChallenge,
    bytes_to_sign,
    sshsig,
    statement_bytes,
)
from contract.sshwire import Reader, encode64, string
from tests.support.hardware import PATIENCE_S, Desk, agent_of, desk, need_openssh, real_agent, run, statement

pytestmark = pytest.mark.usefixtures("openssh")
SAID = statement_bytes(statement())
ORDINARY = {"ed25519": ["-t", "ed25519"], "ecdsa": ["-t", "ecdsa", "-b", "256"], "rsa": ["-t", "rsa", "-b", "2048"]}


@pytest.fixture(scope="module")
def openssh() -> None:
    need_openssh()


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[str]:
    """A real ssh-agent that holds one ordinary key of each type; their `.pub` files lie in `tmp_path`."""
    with desk() as held:  # for its short directory
        async with real_agent(held.directory) as path:
            for name, options in ORDINARY.items():
                file = str(tmp_path / name)
                made = await run("ssh-keygen", "-q", *options, "-N", "", "-C", name, "-f", file)
                added = await run("ssh-add", "-q", file, agent=path)
                assert (made.code, added.code) == (0, 0), made.said + added.said
            yield path


def _agent(path: str) -> Agent:
    return Agent(path, answer_limit_s=PATIENCE_S, touch_limit_s=PATIENCE_S)


def _public_file(held: Desk, kind: str) -> Path:
    file = held.directory / "key.pub"
    file.write_text(held.key.line(kind) + "\n")
    return file


def _signature_of(armored: str) -> tuple[bytes, str, bytes]:
    """Public key, namespace and signature of an armored SSHSIG."""
    raw = base64.b64decode("".join(line for line in armored.splitlines() if not line.startswith("-----")))
    assert raw[:10] == b"SSHSIG" + struct.pack(">I", 1)
    reader = Reader(raw[10:], "the file")
    key, namespace, reserved, hashed, signature = (reader.string(max_bytes=1_024) for _ in range(5))
    reader.end()
    assert (reserved, hashed) == (b"", b"sha512")
    return key, namespace.decode(), signature


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
async def test_ssh_keygen_reads_our_public_line(kind: str) -> None:
    with desk() as held:
        shown = await run("ssh-keygen", "-l", "-f", str(_public_file(held, kind)))
        assert shown.code == 0, shown.said
        assert f"256 {held.public(kind).fingerprint} SOFTWARE, not a hardware key" in shown.said


async def test_ssh_add_lists_the_software_key() -> None:
    with desk() as held:
        async with agent_of(held) as path:
            listed = await run("ssh-add", "-L", agent=path)
        keys = [parse_line(line) for line in listed.said.splitlines()]
    assert [(key.kind, key.blob) for key, _ in keys] == [(kind, held.key.blob(kind)) for kind in HARDWARE_KEY_TYPES]
    assert all(comment.startswith("SOFTWARE, not a hardware key") for _, comment in keys)


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
async def test_openssh_signs_through_our_agent_and_both_verify(kind: str) -> None:
    with desk() as held:
        (held.directory / "said").write_bytes(SAID)
        public, said = _public_file(held, kind), held.directory / "said"
        for namespace in (NAMESPACE, "git"):
            async with agent_of(held) as path:
                sign = ("ssh-keygen", "-Y", "sign", "-f", str(public), "-n", namespace, str(said))
                signed = await run(*sign, agent=path)
                assert signed.code == 0, signed.said
            key, named, signature = _signature_of((held.directory / "said.sig").read_text())
            (held.directory / "said.sig").unlink()
            assert (key, named) == (held.key.blob(kind), namespace)
            assert verify(parse_blob(key), signature, sshsig(namespace, SAID)).present
            if namespace != NAMESPACE:  # a signed commit is no sign-in
                with pytest.raises(SignatureRefusedError):
                    verify(parse_blob(key), signature, bytes_to_sign(statement()))
            else:
                assert verify(parse_blob(key), signature, bytes_to_sign(statement())).counter == 1


@pytest.mark.parametrize("kind", HARDWARE_KEY_TYPES)
async def test_openssh_verifies_what_our_console_had_signed(kind: str) -> None:
    with desk() as held:
        async with agent_of(held) as path:
            key = next(each for each in await _agent(path).keys() if each.kind == kind)
            signature = await _agent(path).sign(key, bytes_to_sign(statement()))
        fields = (key.blob, NAMESPACE.encode(), b"", b"sha512", signature)
        raw = b"SSHSIG" + struct.pack(">I", 1) + b"".join(string(field) for field in fields)
        armored = f"-----BEGIN SSH SIGNATURE-----\n{encode64(raw)}\n-----END SSH SIGNATURE-----\n"
        (held.directory / "sig").write_text(armored)
        (held.directory / "allowed").write_text(f"officer1 {held.key.line(kind)}\n")
        files = ("-f", str(held.directory / "allowed"), "-s", str(held.directory / "sig"))
        command = ("ssh-keygen", "-Y", "verify", *files, "-I", "officer1", "-n")
        good = await run(*command, NAMESPACE, given=SAID)
        assert good.code == 0, good.said
        assert (await run(*command, "git", given=SAID)).code != 0
        assert (await run(*command, NAMESPACE, given=SAID + b" ")).code != 0


async def test_ordinary_keys_are_refused_on_both_sides(agent: str, tmp_path: Path) -> None:
    for name in ORDINARY:
        with pytest.raises(KeyRefusedError, match=r"ordinary SSH key .* ssh-keygen -t ed25519-sk"):
            parse_line((tmp_path / f"{name}.pub").read_text())
    offered = await _agent(agent).keys()
    assert [key.comment for key in offered] == list(ORDINARY)
    with desk() as held:
        enrolled = HardwareChallenge(
            statement=statement(), to_sign="AAAA", keys=[held.public(SK_ED25519).on_the_wire()]
        )
        with pytest.raises(NoHardwareKeyError, match="its 3 keys lie in files"):
            usable_keys(offered, enrolled)
        for key in offered:
            with pytest.raises(KeyRefusedError, match="ordinary SSH key"):
                parse_blob(key.blob)
            if key.kind == "ssh-rsa":
                continue  # signs under a name of its own, which the console does not take for this key's
            signature = await _agent(agent).sign(key, bytes_to_sign(statement()))
            for kind in HARDWARE_KEY_TYPES:
                with pytest.raises(SignatureRefusedError, match="not of type"):
                    verify(held.public(kind), signature, bytes_to_sign(statement()))


async def test_certificates_and_private_keys_are_refused(agent: str, tmp_path: Path) -> None:
    with desk() as held:
        public = _public_file(held, SK_ED25519)
        made = await run("ssh-keygen", "-q", "-s", str(tmp_path / "ed25519"), "-I", "id", "-n", "ops", str(public))
        assert made.code == 0, made.said
        with pytest.raises(KeyRefusedError, match="certificate"):
            parse_line((held.directory / "key-cert.pub").read_text())
    with pytest.raises(KeyRefusedError, match="private key"):
        parse_line((tmp_path / "ed25519").read_text())


async def test_a_real_agents_refusal_is_understood(agent: str) -> None:
    with desk() as held:
        async with agent_of(held) as ours:
            stranger, *_ = await _agent(ours).keys()
        with pytest.raises(AgentRefusedError):
            await _agent(agent).sign(stranger, b"message")


async def test_a_key_whose_device_is_away_is_listed_by_a_real_agent_and_refused(agent: str) -> None:
    """What a person sees who left the key at home: ssh-agent lists it, and cannot sign."""
    with desk() as held:
        file = held.directory / "id_sk"
        file.touch(mode=0o600)
        file.write_text(_private_file(held))
        added = await run("ssh-add", "-q", str(file), agent=agent)
        if added.code != 0:
            pytest.skip(f"this ssh-add takes no key of a device: {added.said.strip()}")
        key = next(each for each in await _agent(agent).keys() if each.hardware)
        assert key.blob == held.key.blob(SK_ED25519)
        with pytest.raises(AgentRefusedError, match="refused"):
            await _agent(agent).sign(key, bytes_to_sign(statement()))


def _private_file(held: Desk) -> str:
    """The file that ssh-keygen leaves beside the public one: a handle that only the device understands."""
    public = held.key.blob(SK_ED25519)
    fields = Reader(public, "the key")
    kind, point, application = (fields.string(max_bytes=200) for _ in range(3))
    private = struct.pack(">II", 7, 7) + string(kind) + string(point) + string(application) + b"\x01"
    private += string(b"handle" * 8) + string(b"") + string(b"away")
    private += bytes(range(1, 9))[: -len(private) % 8]
    raw = b"openssh-key-v1\x00" + string(b"none") + string(b"none") + string(b"") + struct.pack(">I", 1)
    raw += string(public) + string(private)
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{encode64(raw)}\n-----END OPENSSH PRIVATE KEY-----\n"


async def test_a_key_restricted_to_destinations_signs_logins_only(agent: str, tmp_path: Path) -> None:
    """A limit that the decision names: `ssh-add -h` and our statements exclude each other."""
    known, file = tmp_path / "known_hosts", str(tmp_path / "ed25519")
    known.write_text(f"floor.example {(tmp_path / 'ecdsa.pub').read_text()}")
    for options in (("-d",), ("-H", str(known), "-h", "floor.example")):
        done = await run("ssh-add", "-q", *options, file, agent=agent)
        if done.code != 0:
            pytest.skip(f"this ssh-add knows no restriction: {done.said.strip()}")
    key = next(each for each in await _agent(agent).keys() if each.kind == "ssh-ed25519")
    with pytest.raises(AgentRefusedError):
        await _agent(agent).sign(key, bytes_to_sign(statement()))
