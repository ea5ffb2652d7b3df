"""The policy's part of SSO: whom a provider may bring in, as what, and how long its word is taken for good."""

from collections.abc import Collection
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from backend.policy.base import Count, PolicyTable, PositiveCount, Text, Texts, unique

_OPENID = "openid"


class SsoAccounts(StrEnum):
    """Who may sign in through the provider."""

    LINKED = "linked"
    """Whoever somebody beside the database has linked with an account."""
    MADE = "made"
    """Also whoever has a group that stands for a role: the account is made at the first sign-in."""


def _asks_for_identity(scopes: tuple[str, ...]) -> tuple[str, ...]:
    if _OPENID not in scopes:
        raise ValueError("must name openid: without it the provider says nothing of who somebody is")
    return scopes


class SsoRules(PolicyTable):
    """What counts of all that a provider says."""

    accounts: SsoAccounts
    scopes: Annotated[Texts, AfterValidator(_asks_for_identity)]
    """What the provider is asked for."""
    name_claim: Text
    """From which a made account has its name."""
    group_claim: Text
    """Under which the provider lists somebody's groups."""
    roles: dict[Text, Text] = {}
    """Which group stands for which role; of several the first in this table counts. None: nobody comes in."""
    two_factor_values: Annotated[tuple[Text, ...], AfterValidator(unique)] = ()
    """Values of `amr` and `acr` by which the provider says that it asked for two factors, and is believed."""
    hardware_key_values: Annotated[tuple[Text, ...], AfterValidator(unique)] = ()
    """The same for a hardware key; none: whoever needs one shows it here."""
    leeway_seconds: Annotated[Count, Field(le=300)]
    """How far the provider's clock may be off."""
    answer_seconds: Annotated[PositiveCount, Field(le=60)]
    """How long the provider may take for one answer."""
    keys_kept_minutes: PositiveCount
    """How long what the provider says of itself, and its keys, are believed without asking again."""
    keys_again_seconds: PositiveCount
    """How soon its keys are asked for again because a token names one that is not known."""
    sign_ins_at_once: PositiveCount
    """How many may be waiting for their person at a time."""
    longest_sign_in_seconds: PositiveCount
    """How long a code may be entered, whatever the provider allows."""

    def role_of(self, groups: Collection[str]) -> str | None:
        """The role that somebody with these groups has; None for none."""
        return next((role for group, role in self.roles.items() if group in groups), None)
