"""Owns what can go wrong between this client and a backend, each with the exit code of the command line."""

from contract.errors import EXIT_CODE, ErrorCode, ExitCode


class ClientError(Exception):
    """A request did not succeed: one plain sentence, what to do next, and how a command ends."""

    exit_code: ExitCode = ExitCode.CHECK_FAILED

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ApiError(ClientError):
    """The backend refused: its own code, sentence, hint and request id."""

    def __init__(self, code: ErrorCode, message: str, hint: str | None, request_id: str) -> None:
        super().__init__(message, hint)
        self.code = code
        self.request_id = request_id
        self.exit_code = EXIT_CODE[code]


class Unreachable(ClientError):  # noqa: N818  it names what is wrong
    """Nothing that speaks as a Watchfloor backend answers at the address."""

    exit_code = ExitCode.UNREACHABLE


class TimedOut(Unreachable):
    """The request went out and no answer came in time: whether it took effect is not known."""

    exit_code = ExitCode.TIMED_OUT


class NotUnderstood(ClientError):  # noqa: N818  it names what is wrong
    """The answer is not what this version expects; an older console against a newer backend, most likely."""


class AddressRefused(ClientError):  # noqa: N818  it names what is wrong
    """The address would send the token where others can read it, or is not an address."""

    exit_code = ExitCode.CONFIGURATION
