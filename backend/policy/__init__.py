"""The policy: every number and table of the compliance documents as data, validated once at start."""

from backend.policy.model import Policy

__all__ = ["Policy"]
