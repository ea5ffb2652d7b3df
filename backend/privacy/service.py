"""What others may use of personal data's rules."""

from backend.privacy.erasures import approve, list_erasures, preview, request, withdraw
from backend.privacy.holds import approve_lift, in_force_on, list_holds, place, request_lift, show
from backend.privacy.replay import keeping_in_step, replay

__all__ = [
    "approve", "approve_lift", "in_force_on", "keeping_in_step", "list_erasures", "list_holds", "place", "preview",
    "replay", "request", "request_lift", "show", "withdraw",
]  # fmt: skip
