"""Owns why a hardware key or its answer is refused, each in a sentence that a person understands."""


class HardwareRefusedError(Exception):
    """A key or an answer was refused; the message says why and, where something helps, what."""


class KeyRefusedError(HardwareRefusedError):
    """What was given is not the public half of a hardware key that the policy takes."""


class NotEnrolledError(HardwareRefusedError):
    """The answer comes from a key that was not asked for."""


class ChallengeExpiredError(HardwareRefusedError):
    """The answer came too late, or to another challenge."""


class SignatureRefusedError(HardwareRefusedError):
    """The signature is malformed, or does not fit the key and what was to be signed."""


class NotTouchedError(HardwareRefusedError):
    """Nobody touched the key."""


class NotVerifiedError(HardwareRefusedError):
    """The key did not check its owner, and the policy wants it to."""


class CopyableKeyError(HardwareRefusedError):
    """The key says that it can be copied to other devices."""


class ClonedKeyError(HardwareRefusedError):
    """The counter did not grow: two devices may hold the same key. The caller has to raise an alert."""
