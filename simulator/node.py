"""JSON-RPC of a simulated chain's node, pure: a request in, the answer out. Only what a second source asks; reads only.

Whatever comes in, an answer goes out that a client of real nodes understands; never a crash.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from simulator.chain import KEPT_BLOCKS, SimulatedChain, Transaction

MAX_CALLS: Final = 100
"""Of one batch, as public nodes have it."""
MAX_ID_CHARS: Final = 100
NOT_JSON, NO_REQUEST, NO_METHOD, BAD_PARAMS, UNAVAILABLE = -32700, -32600, -32601, -32602, -32000
_QUANTITY = re.compile(r"0x(?:0|[1-9a-fA-F][0-9a-fA-F]{0,15})", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
Params = list[Any]


class CallError(Exception):
    """A call without a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def answer(raw: bytes, chain: SimulatedChain, now: float) -> bytes:
    """Answer a request or a batch at a moment, in Unix seconds; empty where nothing is to be answered."""
    try:
        request = orjson.loads(raw)
    except ValueError:
        return orjson.dumps(_failed(None, CallError(NOT_JSON, "parse error")))
    if not isinstance(request, list):
        single = _answer(request, chain, now)
        return b"" if single is None else orjson.dumps(single)
    if not 0 < len(request) <= MAX_CALLS:
        return orjson.dumps(_failed(None, CallError(NO_REQUEST, f"a batch has 1 to {MAX_CALLS} calls")))
    answers = [one for one in (_answer(call, chain, now) for call in request) if one is not None]
    return orjson.dumps(answers) if answers else b""


def _answer(call: Any, chain: SimulatedChain, now: float) -> dict[str, Any] | None:
    ident = call.get("id") if isinstance(call, dict) else None
    if not _is_id(ident):
        return _failed(None, CallError(NO_REQUEST, "an id is a number or short text"))
    try:
        result = _result(call, chain, now)
    except CallError as error:
        return _failed(ident, error)
    return {"jsonrpc": "2.0", "id": ident, "result": result} if "id" in call else None


def _is_id(ident: object) -> bool:
    return ident is None or type(ident) is int or (isinstance(ident, str) and len(ident) <= MAX_ID_CHARS)


def _failed(ident: object, error: CallError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": ident, "error": {"code": error.code, "message": str(error)}}


def _result(call: Any, chain: SimulatedChain, now: float) -> Any:
    if not isinstance(call, dict) or call.get("jsonrpc") != "2.0" or not isinstance(call.get("method"), str):
        raise CallError(NO_REQUEST, "not a JSON-RPC 2.0 request")
    method = _METHODS.get(call["method"])
    if method is None:
        raise CallError(NO_METHOD, "this simulated node does not know that method")
    params = call.get("params", [])
    if not isinstance(params, list):
        raise CallError(BAD_PARAMS, "params are a list")
    return method(params, chain, now)


def _chain_id(params: Params, chain: SimulatedChain, _now: float) -> str:
    _count(params, 0)
    return hex(chain.chain.chain_id)


def _block(params: Params, chain: SimulatedChain, now: float) -> dict[str, Any] | None:
    _count(params, 2)
    if params[1] is not False:
        raise CallError(BAD_PARAMS, "blocks are shown without their transactions")
    height = chain.height(now)
    number = height if params[0] == "latest" else _number(params[0])
    if not 0 < number <= height:
        return None
    return {
        "number": hex(number),
        "hash": chain.block_hash(number),
        "parentHash": chain.block_hash(number - 1),
        "timestamp": hex(max(0, chain.block_at(number))),
    }


def _transaction_count(params: Params, chain: SimulatedChain, now: float) -> str:
    _count(params, 2)
    address = _text(params[0], _ADDRESS, "an address")
    height = chain.height(now)
    if params[1] == "pending":
        return hex(chain.next_nonce(address))
    block = height if params[1] == "latest" else _number(params[1])
    if not height - KEPT_BLOCKS < block <= height:
        raise CallError(UNAVAILABLE, f"only the state of the newest {KEPT_BLOCKS:,} blocks is known")
    return hex(chain.count_at(address, block))


def _receipt(params: Params, chain: SimulatedChain, now: float) -> dict[str, Any] | None:
    found = _find(params, chain)
    if found is None or found.block > chain.height(now):
        return None
    return {
        "transactionHash": found.hash,
        "blockHash": chain.block_hash(found.block),
        "blockNumber": hex(found.block),
        "from": found.sender,
        "status": hex(int(found.succeeded)),
    }


def _transaction(params: Params, chain: SimulatedChain, now: float) -> dict[str, Any] | None:
    found = _find(params, chain)
    if found is None:
        return None
    mined = found.block <= chain.height(now)
    return {
        "hash": found.hash,
        "from": found.sender,
        "nonce": hex(found.nonce),
        "blockNumber": hex(found.block) if mined else None,
        "blockHash": chain.block_hash(found.block) if mined else None,
    }


def _find(params: Params, chain: SimulatedChain) -> Transaction | None:
    _count(params, 1)
    return chain.transaction(_text(params[0], _HASH, "a transaction's hash").lower())


def _count(params: Params, count: int) -> None:
    if len(params) != count:
        raise CallError(BAD_PARAMS, f"{count} params are needed")


def _number(value: object) -> int:
    return int(_text(value, _QUANTITY, "a block's number"), 16)


def _text(value: object, pattern: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise CallError(BAD_PARAMS, f"not {what}")
    return value


_METHODS: Final[Mapping[str, Callable[[Params, SimulatedChain, float], Any]]] = {
    "eth_chainId": _chain_id,
    "eth_getBlockByNumber": _block,
    "eth_getTransactionCount": _transaction_count,
    "eth_getTransactionReceipt": _receipt,
    "eth_getTransactionByHash": _transaction,
}
