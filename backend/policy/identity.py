"""The policy's numbers of proving who one is: weak passwords, waits, recovery codes, hardware keys, break-glass."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from backend.policy.base import Flag, PolicyTable, PositiveCount, Text, Texts


class IdentityRules(PolicyTable):
    """How an account's factors are made, used and got back."""

    password_strength: Annotated[PositiveCount, Field(le=4)]
    """What a chosen password has to reach on zxcvbn's scale: 3 withstands 10^8 guesses, 4 withstands 10^10."""
    recovery_codes: PositiveCount
    """One-use codes that stand in for a lost authenticator."""
    address_failures_before_wait: PositiveCount
    """Wrong sign-ins from one address, whatever the account, before the address has to wait."""
    first_address_wait_seconds: PositiveCount
    longest_address_wait_seconds: PositiveCount
    known_address_days: PositiveCount
    """For how long an address from which an account signed in is not held up by what others do to that account."""
    forget_failures_hours: PositiveCount
    """After so long without one, failures no longer count."""
    challenge_seconds: PositiveCount
    """How long a hardware key may take to answer."""
    confirmation_minutes: PositiveCount
    """For how long a touch confirms the act that it was asked for."""
    key_applications: Texts
    """To whom hardware keys may be made out."""
    key_verification: Flag
    """Whether a key must also have asked for its PIN or a fingerprint."""
    keys_per_account: Annotated[PositiveCount, Field(le=16)]
    break_glass_role: Text
    """The role of the account that lies sealed in two envelopes; nobody else holds it."""
    break_glass_hours: PositiveCount
    """How long a break-glass account works once its envelopes were opened."""

    @model_validator(mode="after")
    def _waits_grow(self) -> Self:
        if self.longest_address_wait_seconds < self.first_address_wait_seconds:
            raise ValueError("longest_address_wait_seconds must not be less than first_address_wait_seconds")
        return self

    def address_wait_seconds(self, failures: int) -> int:
        """How long an address waits after so many failures; 0 while it need not."""
        beyond = failures - self.address_failures_before_wait
        if beyond < 0:
            return 0
        doublings = min(beyond, self.longest_address_wait_seconds.bit_length())
        return min(self.first_address_wait_seconds << doublings, self.longest_address_wait_seconds)
