"""One provider of SSO: what it says of itself, its keys, and the device grant (RFC 8628). Knows no account and no role.

The provider is believed in nothing but what it signed: addresses that it names have to be safe, times are bounded.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from backend.auth import oidc_claims
from backend.auth.oidc_claims import Expected, SigningKey, UnknownKeyError
from backend.auth.oidc_identity import Identity
from backend.auth.oidc_line import Line, ProviderSaysNoError, ProviderStrangeError, is_safe
from backend.policy.sso import SsoRules
from contract.sso import MAX_PAGE_CHARS, MAX_USER_CODE_CHARS

_DISCOVERY: Final = "/.well-known/openid-configuration"
_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_PENDING, _SLOW_DOWN = "authorization_pending", "slow_down"
_MAX_CODE_CHARS: Final = 4_096
_DEFAULT_INTERVAL_S: Final = 5
"""What RFC 8628 says where the provider does not."""
_LONGEST_INTERVAL_S: Final = 60
SLOW_DOWN_S: Final = 5
"""By how much one asks more seldom when told to (RFC 8628, 3.5)."""
_METHODS: Final = ("client_secret_basic", "client_secret_post")
"""How a client with a secret says who it is; the first that the provider takes."""
_PUBLIC: Final = "none"
_S_A_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Described:
    """What a provider says of itself."""

    device: str
    token: str
    keys: str
    method: str


@dataclass(frozen=True, slots=True, repr=False)
class Started:
    """A sign-in that waits for its person; the device code is secret."""

    device_code: str
    user_code: str
    page: str
    page_with_code: str | None
    lasts_s: int
    ask_every_s: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The person has not finished yet; `slower`: the provider was asked too often."""

    slower: bool


class Provider:
    """The provider that the settings name."""

    def __init__(
        self, line: Line, *, issuer: str, client_id: str, rules: SsoRules, monotonic: Callable[[], float]
    ) -> None:
        self.issuer = issuer
        self.client_id = client_id
        self.rules = rules
        self._line = line
        self._monotonic = monotonic
        self._described: tuple[float, Described] | None = None
        self._keys: tuple[float, tuple[SigningKey, ...]] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def start(self, nonce: str) -> Started:
        """Begin a sign-in.

        Raises:
            ProviderError: one of its kinds.
        """
        described = await self._describe()
        form = {"scope": " ".join(self.rules.scopes), "nonce": nonce}
        body = await self._line.post(described.device, form, method=described.method)
        with_code = body.get("verification_uri_complete")
        return Started(
            device_code=_text(body, "device_code", _MAX_CODE_CHARS),
            user_code=_text(body, "user_code", MAX_USER_CODE_CHARS),
            page=_page(_text(body, "verification_uri", MAX_PAGE_CHARS)),
            page_with_code=_page(_text(body, "verification_uri_complete", MAX_PAGE_CHARS)) if with_code else None,
            lasts_s=min(_number(body, "expires_in"), self.rules.longest_sign_in_seconds),
            ask_every_s=min(_number(body, "interval", _DEFAULT_INTERVAL_S), _LONGEST_INTERVAL_S),
        )

    async def ask(self, device_code: str, expected: Expected) -> Identity | Waiting:
        """Who has signed in, if somebody has.

        Raises:
            ProviderError: one of its kinds.
            TokenRefusedError: what it gave proves nothing.
        """
        described = await self._describe()
        form = {"grant_type": _DEVICE_GRANT, "device_code": device_code}
        try:
            body = await self._line.post(described.token, form, method=described.method)
        except ProviderSaysNoError as error:
            if error.code in {_PENDING, _SLOW_DOWN}:
                return Waiting(slower=error.code == _SLOW_DOWN)
            raise
        token, access = _text(body, "id_token", oidc_claims.MAX_TOKEN_CHARS), body.get("access_token", "")
        wanted = replace(expected, access_token=access if isinstance(access, str) else "")
        return oidc_claims.identity_of(
            await self._verified(token, wanted), name_claim=self.rules.name_claim, group_claim=self.rules.group_claim
        )

    async def _verified(self, token: str, expected: Expected) -> Mapping[str, Any]:
        known = await self._signing_keys()
        try:
            return oidc_claims.verify(token, known, expected)
        except UnknownKeyError:
            fresh = await self._signing_keys(newer=True)
            if fresh is known:
                raise
            return oidc_claims.verify(token, fresh, expected)

    async def _describe(self) -> Described:
        async with self._one_at_a_time:
            if self._described is None or self._is_old(self._described[0]):
                body = await self._line.get(self.issuer.removesuffix("/") + _DISCOVERY)
                self._described = self._monotonic(), self._read(body)
            return self._described[1]

    def _is_old(self, at: float) -> bool:
        return self._monotonic() - at >= self.rules.keys_kept_minutes * _S_A_MINUTE

    def _read(self, body: Mapping[str, Any]) -> Described:
        if body.get("issuer") != self.issuer:
            raise ProviderStrangeError("it says that it is another")
        named = {name: _address(body, name) for name in ("device_authorization_endpoint", "token_endpoint", "jwks_uri")}
        return Described(
            device=named["device_authorization_endpoint"],
            token=named["token_endpoint"],
            keys=named["jwks_uri"],
            method=self._method(body.get("token_endpoint_auth_methods_supported")),
        )

    def _method(self, offered: Any) -> str:
        if self._line.is_public:
            return _PUBLIC
        if not isinstance(offered, list):
            return _METHODS[0]
        found = next((each for each in _METHODS if each in offered), None)
        if found is None:
            raise ProviderStrangeError("it takes no secret of its clients in a way that is known here")
        return found

    async def _signing_keys(self, *, newer: bool = False) -> tuple[SigningKey, ...]:
        """The provider's keys; `newer` ones than are known are asked for now and then only, whoever wants them."""
        described = await self._describe()
        async with self._one_at_a_time:
            if self._keys is not None:
                asked_at, known = self._keys
                recently = self._monotonic() - asked_at < self.rules.keys_again_seconds
                if recently or not (newer or self._is_old(asked_at)):
                    return known
            try:
                keys = oidc_claims.read_keys(await self._line.get(described.keys))
            except ValueError as error:
                raise ProviderStrangeError("its keys cannot be read") from error
            self._keys = self._monotonic(), keys
            return keys


def _address(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None and name == "device_authorization_endpoint":
        raise ProviderStrangeError("it does not offer the device grant (RFC 8628)")
    if not isinstance(value, str) or not is_safe(value):
        raise ProviderStrangeError("it names an address that is not safe")
    return value


def _page(address: str) -> str:
    if not is_safe(address):
        raise ProviderStrangeError("it names an address that is not safe")
    return address


def _text(body: Mapping[str, Any], name: str, longest: int) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest or not (value.isascii() and value.isprintable()):
        raise ProviderStrangeError(f"its answer has no {name} that can be used")
    return value


def _number(body: Mapping[str, Any], name: str, default: int = 0) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ProviderStrangeError(f"its answer has no {name} that can be used")
    return value
