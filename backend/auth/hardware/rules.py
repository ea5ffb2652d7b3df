"""What a verified signature is worth: touch, verification of the owner, counter. Pure; stores nothing.

That a challenge is answered once, and that two answers of one key are judged one after the other, is the caller's.
"""

from backend.auth.hardware.errors import ClonedKeyError, CopyableKeyError, NotTouchedError, NotVerifiedError
from backend.auth.hardware.signatures import Assertion


def judge(assertion: Assertion, *, last_counter: int, needs_verification: bool) -> int:
    """The counter to store, once the key proved what the policy wants.

    `last_counter` is what was stored at the key's last answer, 0 before its first. Keys that do not count always say 0.

    Raises:
        ClonedKeyError: its counter did not grow. Said before all else: whatever the flags, it is evidence.
        NotTouchedError: nobody touched the key.
        CopyableKeyError: it can exist twice by its own account.
        NotVerifiedError: it did not check its owner, and has to.
    """
    if assertion.counter <= last_counter and (assertion.counter, last_counter) != (0, 0):
        raise ClonedKeyError(
            f"The key counts {assertion.counter} after it had counted {last_counter}: a copy of it may be in use."
        )
    if not assertion.present:
        raise NotTouchedError("Nobody touched the key. A key made with no-touch-required is not taken.")
    if assertion.copyable:
        raise CopyableKeyError("The key says that it can be copied to other devices: a hardware key cannot.")
    if needs_verification and not assertion.verified:
        raise NotVerifiedError(
            "The key was touched, but asked for neither PIN nor fingerprint. "
            "Make one that does with: ssh-keygen -t ed25519-sk -O verify-required"
        )
    return assertion.counter
