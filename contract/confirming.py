"""Wire types of confirming an act with a fresh touch of the hardware key."""

from typing import Annotated

from pydantic import AfterValidator, Field

from contract.auth import MAX_ADDRESS_CHARS
from contract.base import UtcDatetime, Wire, WireRequest, storable
from contract.hardware import MAX_ABOUT_CHARS, HardwareAct


class ConfirmationRequest(WireRequest):
    """Ask for a challenge about one act on one object."""

    act: HardwareAct
    about: Annotated[str, Field(max_length=MAX_ABOUT_CHARS), AfterValidator(storable)]
    origin: Annotated[str, Field(max_length=MAX_ADDRESS_CHARS), AfterValidator(storable)] = ""
    """Address of the backend as the client knows it."""


class Confirmed(Wire):
    """Until when the act may be done."""

    until: UtcDatetime
