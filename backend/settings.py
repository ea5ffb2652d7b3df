"""Settings from the environment (`WATCHFLOOR_*`). Numbers of the compliance policy do not belong here."""

import os
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def state_directory() -> Path:
    """Where this account keeps state that should survive a restart."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "watchfloor"


class Settings(BaseSettings):
    """What differs between two installations of the same policy."""

    model_config = SettingsConfigDict(env_prefix="WATCHFLOOR_", extra="ignore", frozen=True)

    database_url: str = Field(
        description="PostgreSQL ≥ 14, e.g. postgresql://user:password@host/watchfloor; of a cluster all servers, as "
        "postgresql://user:password@a:5432,b:5432/watchfloor: the one that takes writes is found",
    )
    policy: str = Field(
        default="mev",
        description="Name of a built-in policy (mev, methtrader) or path of a TOML file layered over one",
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address the backend listens on, loopback only unless TLS is set; `none`: the Unix socket alone",
    )
    port: int = Field(default=8420, ge=0, le=65535, description="Port the backend listens on; 0 picks a free one")
    socket: Path | None = Field(
        default=None, description="Path of a Unix socket to listen on as well; for the backend's account and its group"
    )
    tls_certificate: Path | None = Field(
        default=None, description="Certificate chain (PEM); with it the port speaks TLS 1.3 and nothing else"
    )
    tls_key: Path | None = Field(default=None, description="Private key of the certificate (PEM), mode 0600")
    tls_client_ca: Path | None = Field(
        default=None, description="Authorities (PEM) whose certificates machines may show; see transport.md"
    )
    origins: str = Field(
        default="",
        description="Addresses that consoles use for this backend, separated by spaces, as `https://HOST:8420`: "
        "hardware keys answer for these only; empty: loopback, tunnels that end there, and Unix sockets",
    )
    oidc_issuer: str = Field(
        default="",
        description="Issuer of the OpenID Connect provider that people may sign in with, as `https://HOST/PATH`; "
        "empty: local accounts only. See sso.md",
    )
    oidc_client_id: str = Field(default="", description="What the provider knows this installation as")
    oidc_client_secret_file: Path | None = Field(
        default=None, description="File whose first line is the client's secret, mode 0600; none: a public client"
    )
    log_level: str = Field(default="info", description="debug, info, warning or error")
    statement_timeout_ms: int = Field(default=5_000, ge=100, description="Longest time one SQL statement may take (ms)")
    lock_timeout_ms: int = Field(default=4_000, ge=100, description="Longest wait for one database lock (ms)")
    pool_size: int = Field(default=10, ge=1, description="Database connections kept by one backend process")
    pool_overflow: int = Field(default=0, ge=0, description="Further connections opened under load")
    data_dir: Path = Field(
        default_factory=state_directory,
        description="Where one backend keeps files of its own; $XDG_STATE_HOME/watchfloor by default",
    )
    master_key_file: Path | None = Field(
        default=None,
        description="The key that opens personal data in the audit ledger, the same for all backends of a database; "
        "master.key in the data directory by default, made at the first start",
    )
    trusted_proxies: str = Field(
        default="",
        description="Networks of reverse proxies, separated by spaces: only from them X-Forwarded-For counts",
    )
    signer_socket: Path | None = Field(
        default=None, description="Where the signer listens; signer.sock in the data directory by default"
    )
    witnesses: str = Field(
        default="",
        description="Witnesses of the ledger's heads, separated by spaces: dir:PATH, s3://BUCKET/PREFIX, "
        "postgresql://… (another database), https://HOST/PREFIX followed by the witness's key",
    )
    archives: str = Field(
        default="",
        description="Where copies of closed partitions of the ledger are kept, separated by spaces: dir:PATH (the same "
        "for all backends), s3://BUCKET/PREFIX (needs the extra s3; credentials from AWS_*)",
    )

    notifications_file: Path | None = Field(
        default=None,
        description="Where people are told outside the console: a TOML file of addresses, mode 0600, the same for all "
        "backends; none: nobody is. See notifications.md",
    )

    alertmanagers: str = Field(
        default="",
        description="Alertmanagers whose API is asked what mutes their alerts, and in which silences are made too: "
        "NAME=URL, separated by blanks, as `main=http://127.0.0.1:9093`; the name is that of their webhook's address. "
        "See alertmanager.md",
    )

    alertmanagers_file: Path | None = Field(
        default=None,
        description="How their APIs are accessed: a TOML file that names, for each, the files of a bearer token or a "
        "password, and of the certificates to trust; none: they ask nobody who they are. See alertmanager.md",
    )

    cluster: str = Field(
        default="",
        description="What runs the database's cluster, for recovery drills: patroni:URL,URL,… of the REST API of every "
        "node, or pair:SOCKET of `watchfloor pair`; none: drills that need a cluster are refused. See recovery.md",
    )
    cluster_user_file: Path | None = Field(
        default=None,
        description="File whose first line is USER:PASSWORD for the orders given to Patroni, mode 0600; used over TLS "
        "or on this machine only. See patroni.md",
    )
    cluster_ca: Path | None = Field(
        default=None, description="Authorities (PEM) that Patroni's certificates are checked by; none: the system's"
    )

    @field_validator("database_url")
    @classmethod
    def _psycopg_url(cls, value: str) -> str:
        for prefix in ("postgresql+psycopg://", "postgresql://", "postgres://"):
            if value.startswith(prefix):
                return "postgresql+psycopg://" + _with_hosts(value.removeprefix(prefix))
        raise ValueError("WATCHFLOOR_DATABASE_URL must start with postgresql://")


def _with_hosts(rest: str) -> str:
    """Several servers as parameters, where everything reads them, and of these the one that takes writes."""
    before, _, query = rest.partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    authority, slash, path = before.partition("/")
    user, at, named = authority.rpartition("@")
    added = []
    if "," in named:
        before = f"{user}{at}{slash}{path}"
        added = [("host", ",".join(map(_host, named.split(",")))), ("port", ",".join(map(_port, named.split(","))))]
    several = any(name == "host" and "," in value for name, value in given + added)
    if several and "target_session_attrs" not in dict(given):
        added += [("target_session_attrs", "read-write")]
    return f"{before}?{urlencode(given + added, quote_via=quote, safe='/,:')}" if added else rest


def _host(named: str) -> str:
    return (named if named.endswith("]") or ":" not in named else named.rpartition(":")[0]).strip("[]")


def _port(named: str) -> str:
    return named.rpartition("]")[2].partition(":")[2]  # colons in brackets are the address's own
