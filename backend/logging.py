"""JSON lines on stderr, one event each with a fixed name. Must never print a credential."""

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

_SECRET_PARTS = ("password", "secret", "token", "authorization", "totp", "cookie", "private_key")
"""A field whose name holds one of these is never printed."""
_REDACTED = "[redacted]"


def _without_secrets(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in event:
        if any(part in key.lower() for part in _SECRET_PARTS):
            event[key] = _REDACTED
    return event


def _json(event: Any, default: Any = None, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=default or str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # text that is no valid Unicode, e.g. half of a surrogate pair
        return json.dumps(event, default=str, skipkeys=True)


def configure_logging(level: str) -> None:
    """Send our own and the libraries' log to stderr, `level` and above."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(serializer=_json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("sqlalchemy.engine", "sqlalchemy.pool", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
