"""The random surrogates under which the ledger knows people, so that a name can be forgotten.

Must never derive a surrogate from the name: whoever kept the key could tell whose it was after the erasure.
"""

from base64 import b32encode
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.personal_tables import ErasedName
from backend.audit.tables import Subject
from backend.context import Runtime
from ledger import seal

PREFIX: Final = "person:"
PERSON_RESOURCE: Final = "user"
"""Resources of this type are people: the ledger names them by their surrogate."""
ERASED: Final = "person:erased"
"""Stands for whoever was erased and is named again: nobody can tell any more which surrogate was theirs."""
RANDOM_BYTES: Final = 10
"""Two people never share a surrogate."""


def new_surrogate(random: bytes) -> str:
    """A surrogate: a letter first, so that full-text search takes all of it as one word and never as a number."""
    return f"{PREFIX}p{b32encode(random).decode().lower()}"


async def find(session: AsyncSession, name: str) -> str | None:
    """The surrogate of a person, or None."""
    return await session.scalar(select(Subject.pid).where(Subject.name == name))


async def find_either(session: AsyncSession, name: str) -> str | None:
    """The surrogate of a person who is given by name or by surrogate, or None; nobody who was erased is found."""
    meant = Subject.pid if name.startswith(PREFIX) else Subject.name
    return await session.scalar(select(Subject.pid).where(meant == name, Subject.name.is_not(None)))


def owner_of(actor: str | None, actor_type: str | None, resource_type: str | None, resource_id: str | None) -> str:
    """Whose personal data the sealed values of an entry are, by what the entry itself says.

    The actor's; but a refused sign-in, which nobody has done yet, tells of the person whose account it was.
    """
    if actor_type == "anonymous" and resource_type == PERSON_RESOURCE and resource_id:
        return resource_id
    return actor or actor_type or "nobody"


def blind_of(runtime: Runtime, name: str) -> bytes:
    """By what an erased name is recognised: keyed, and not kept beside the surrogate that was theirs."""
    return seal.blind(runtime.keyring.blinding, "erased_name", name.lower())


async def is_erased(session: AsyncSession, runtime: Runtime, name: str) -> bool:
    """Whether a name was erased and nobody has let it come back."""
    wanted = select(ErasedName.blind).where(ErasedName.blind == blind_of(runtime, name))
    return await session.scalar(wanted) is not None


async def readmit(session: AsyncSession, runtime: Runtime, name: str) -> bool:
    """Let an erased name come back as somebody new, with a surrogate and a key of their own; whether it was erased."""
    gone = delete(ErasedName).where(ErasedName.blind == blind_of(runtime, name)).returning(ErasedName.blind)
    return await session.scalar(gone) is not None
