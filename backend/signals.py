"""A signal within one process: whoever is connected is called. Carries nothing, waits for nobody."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Signal:
    """Something that others of this process want to hear of at once, before the database tells them."""

    _connected: list[Callable[[], None]] = field(default_factory=list)

    def connect(self, wake: Callable[[], None]) -> None:
        """Have a function called; it must not fail or wait."""
        self._connected.append(wake)

    def tell(self) -> None:
        """Call them all."""
        for wake in self._connected:
            wake()
