"""Who somebody is by the word of the provider of SSO, once it is known to be its word. Owns no rule."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, by the provider's word."""

    issuer: str
    subject: str
    name: str
    """What the policy's claim says; empty if it says nothing that can be read."""
    groups: frozenset[str]
    contexts: frozenset[str]
    """How they proved it there: values of `amr` and `acr`."""
