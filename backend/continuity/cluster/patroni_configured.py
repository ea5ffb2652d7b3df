"""Makes the cluster of `WATCHFLOOR_CLUSTER=patroni:…`. Asks it nothing: it may be away while backends start."""

from typing import Final

from backend.clock import Clock
from backend.continuity.cluster.patroni import Patroni
from backend.continuity.cluster.patroni_line import PatroniLine, addresses_of
from backend.settings import Settings

PREFIX: Final = "patroni:"


def patroni_of(settings: Settings, clock: Clock) -> Patroni:
    """The cluster that the settings name after `patroni:`.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    addresses = addresses_of(settings.cluster.removeprefix(PREFIX))
    line = PatroniLine(addresses, user_file=settings.cluster_user_file, ca=settings.cluster_ca)
    return Patroni(line, clock)
