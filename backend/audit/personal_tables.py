"""Tables of what is left of a person once they are erased."""

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base


class ErasedName(Base):
    """A name that must not come back unnoticed, as a keyed hash; says nothing of when, or of whose surrogate it was."""

    __tablename__ = "audit_erased_names"

    blind: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
