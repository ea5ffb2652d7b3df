"""The console's side of the SSH agent protocol, against agents that are honest, slow, broken and hostile."""

import asyncio
import os
import stat
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.client.agent import (
    MAX_COMMENT_CHARS,
    MAX_MESSAGE_BYTES,
    Agent,
    AgentError,
    AgentKey,
    AgentNotUnderstoodError,
    AgentRefusedError,
    AgentSilentError,
    Message,
    NoAgentError,
    read_keys,
)
from contract.hardware import HARDWARE_KEY_TYPES, SK_ED25519
from contract.sshwire import string
from simulator.security_key import SecurityKey, StateError, listening
from tests.support.hardware import PATIENCE_S, agent_of, desk

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
KEY = AgentKey(string(SK_ED25519.encode()) + bytes(36), SK_ED25519, "")


def _patient(path: str) -> Agent:
    return Agent(path, answer_limit_s=PATIENCE_S, touch_limit_s=PATIENCE_S)


@asynccontextmanager
async def _hostile(talk: Talk) -> AsyncIterator[str]:
    """The path of an agent that does as `talk` says to each caller."""
    with tempfile.TemporaryDirectory(prefix="wf-sk-") as directory:
        path = f"{directory}/agent"

        async def each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await talk(reader, writer)
            except OSError:
                pass  # the console has hung up, as it should
            finally:
                writer.close()

        server = await asyncio.start_unix_server(each, path)
        try:
            yield path
        finally:
            server.close()


def _saying(raw: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        writer.write(raw)
        await writer.drain()
        await reader.read()  # until the console hangs up

    return talk


async def _silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass


async def _dripping(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(struct.pack(">I", MAX_MESSAGE_BYTES))
    while True:
        writer.write(b"\x0c")
        await writer.drain()
        await asyncio.sleep(0.01)


async def _hanging_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    return


async def test_lists_and_signs_with_both_kinds() -> None:
    with desk() as held:
        async with agent_of(held) as path:
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600  # noqa: PTH116  pathlib's is reported as blocking
            keys = await _patient(path).keys()
            assert [key.kind for key in keys] == list(HARDWARE_KEY_TYPES)
            assert all(key.hardware and "not a hardware key" in key.comment for key in keys)
            for key in keys:
                assert key.blob == held.key.blob(key.kind)
                signature = await _patient(path).sign(key, b"message")
                assert signature.startswith(string(key.kind.encode()))


@pytest.mark.parametrize("environment", [{}, {"SSH_AUTH_SOCK": ""}])
def test_no_agent_in_the_environment(environment: dict[str, str]) -> None:
    with pytest.raises(NoAgentError, match="SSH_AUTH_SOCK is not set") as refused:
        Agent.from_environment(environment)
    assert "ssh -A" in (refused.value.hint or "")


@pytest.mark.parametrize("path", ["/nowhere/agent", "/dev/null", "/tmp", "x" * 200])  # noqa: S108  no file is made there
async def test_no_agent_at_the_address(path: str) -> None:
    with pytest.raises(NoAgentError, match="No SSH agent answers at SSH_AUTH_SOCK"):
        await Agent.from_environment({"SSH_AUTH_SOCK": path}).keys()


async def test_an_agent_that_has_ended() -> None:
    with desk() as held:
        async with agent_of(held) as path:
            pass
        with pytest.raises(NoAgentError):
            await _patient(path).keys()


async def test_a_refusal() -> None:
    with desk() as held:
        held.behaviour.refuses = frozenset(HARDWARE_KEY_TYPES)
        async with agent_of(held) as path:
            key, *_ = await _patient(path).keys()
            with pytest.raises(AgentRefusedError, match="refused"):
                await _patient(path).sign(key, b"message")
            with pytest.raises(AgentRefusedError):
                await _patient(path).sign(KEY, b"message")  # a key it does not have


async def test_a_touch_that_takes_its_time_and_one_that_never_comes() -> None:
    with desk() as held:
        async with agent_of(held) as path:
            key, *_ = await _patient(path).keys()
            held.behaviour.delay_s = 0.2
            assert await _patient(path).sign(key, b"message")
            held.behaviour.delay_s = 3_600.0
            with pytest.raises(AgentSilentError, match=r"did not sign within 0\.05 s"):
                await Agent(path, touch_limit_s=0.05).sign(key, b"message")


@pytest.mark.parametrize("talk", [_silence, _dripping])
async def test_an_agent_that_hangs_or_drips_is_left(talk: Talk) -> None:
    async with _hostile(talk) as path:
        with pytest.raises(AgentSilentError, match="did not list its keys"):
            await Agent(path, answer_limit_s=0.2).keys()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (struct.pack(">I", 0), "announces 0 bytes"),
        (struct.pack(">I", MAX_MESSAGE_BYTES + 1), "announces 262145 bytes"),
        (b"\xff\xff\xff\xff" + bytes(100), "announces 4294967295 bytes"),
        (string(bytes([99])), "is a message 99 where 12 belongs"),
        (string(bytes([Message.SIGN_RESPONSE])), "is a message 14 where 12 belongs"),
        (string(bytes([Message.IDENTITIES_ANSWER])), "ends too early"),
        (string(bytes([Message.IDENTITIES_ANSWER]) + b"\xff\xff\xff\xff"), "announces 4294967295 keys"),
        (string(bytes([Message.IDENTITIES_ANSWER]) + bytes(5)), "1 bytes too many"),
        (string(bytes([Message.IDENTITIES_ANSWER]) + struct.pack(">II", 1, 2**31) + bytes(9)), "has a field of"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "announces 1213486160 bytes"),
    ],
)
async def test_replies_that_are_none(raw: bytes, said: str) -> None:
    async with _hostile(_saying(raw)) as path:
        with pytest.raises(AgentNotUnderstoodError) as refused:
            await _patient(path).keys()
    assert said in refused.value.message


async def test_an_agent_that_hangs_up() -> None:
    async with _hostile(_hanging_up) as path:
        with pytest.raises((AgentNotUnderstoodError, NoAgentError)):
            await _patient(path).keys()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        string(b""),
        string(string(b"ssh-ed25519") + string(bytes(64))),
        string(string(SK_ED25519.encode())) + b"\x00",
        string(string(SK_ED25519.encode()) + bytes(2_000)),
    ],
)
async def test_signatures_that_are_none(reply: bytes) -> None:
    async with _hostile(_saying(string(bytes([Message.SIGN_RESPONSE]) + reply))) as path:
        with pytest.raises(AgentNotUnderstoodError, match="signature cannot be read"):
            await _patient(path).sign(KEY, b"message")


def test_one_strange_key_hides_no_other() -> None:
    strange = [b"", b"\x00", string(b"\x1b[2J"), string("é".encode()), b"\xff\xff\xff\xff"]
    blobs = [*strange, KEY.blob]
    listed = b"".join(string(blob) + string(b"\xff" * 1_000) for blob in blobs)
    keys = read_keys(bytes([Message.IDENTITIES_ANSWER]) + struct.pack(">I", len(blobs)) + listed)
    assert [key.kind for key in keys] == ["", "", "", "", "", SK_ED25519]
    assert [key.hardware for key in keys] == [False] * 5 + [True]
    assert all(len(key.comment) == MAX_COMMENT_CHARS for key in keys)


async def test_a_reply_of_the_full_size_is_read() -> None:
    comment = bytes(MAX_MESSAGE_BYTES - 5 - 8 - len(KEY.blob))
    reply = bytes([Message.IDENTITIES_ANSWER]) + struct.pack(">I", 1) + string(KEY.blob) + string(comment)
    assert len(reply) == MAX_MESSAGE_BYTES
    async with _hostile(_saying(string(reply))) as path:
        assert [key.blob for key in await _patient(path).keys()] == [KEY.blob]


async def test_the_software_agent_outlives_broken_callers() -> None:
    with desk() as held:
        async with agent_of(held) as path:
            for raw in (b"\xff\xff\xff\xff", bytes(4), b"\x00", string(b"\x0d"), string(b"\x0b\x00"), string(b"\x1b")):
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(raw)
                writer.write_eof()
                await reader.read()
                writer.close()
                await writer.wait_closed()
            assert len(await _patient(path).keys()) == 2


async def test_a_socket_in_use_is_not_taken_and_a_dead_one_is() -> None:
    with desk() as held:
        async with agent_of(held) as path:
            with pytest.raises(OSError, match="in use"):
                async with listening(Path(path), held.key, held.behaviour):
                    pytest.fail("two agents at one address")
            assert await _patient(path).keys()
        server = await asyncio.start_unix_server(_silence, path)
        server.close()  # leaves the file behind, as a crash does
        async with agent_of(held) as path:
            assert await _patient(path).keys()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "application": "ssh:", "ed25519": 5}']
)
def test_a_state_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    state = tmp_path / "state"
    state.touch(mode=0o600)
    state.write_text(text)
    with pytest.raises(StateError):
        SecurityKey(state)


def test_a_state_that_others_can_read_is_refused(tmp_path: Path) -> None:
    SecurityKey(tmp_path / "state")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o600
    (tmp_path / "state").chmod(0o644)
    with pytest.raises(StateError, match="chmod 600"):
        SecurityKey(tmp_path / "state")


def test_every_failure_is_a_sentence() -> None:
    kinds = AgentError.__subclasses__()
    assert {NoAgentError, AgentRefusedError, AgentSilentError, AgentNotUnderstoodError} <= set(kinds)
