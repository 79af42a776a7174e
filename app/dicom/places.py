"""How many may call the DICOM listener at a time."""

from __future__ import annotations

import threading
from collections import Counter

from pynetdicom.association import Association

FURTHER_CONNECTIONS = 8
"""Beyond the associations, so that whoever is told to come back can be told."""
_FURTHER_OF_ONE = 4
"""How many of those one address may have; the others' are left."""


class Places:
    """Places of connections, and among them of associations; used by several threads."""

    def __init__(self, associations: int) -> None:
        self._lock = threading.Lock()
        self._associations = associations
        self._connections: Counter[str] = Counter()
        self._admitted: set[Association] = set()

    def connect(self, address: str) -> bool:
        """False where all places are taken, or all that one address may take; else `disconnect` later."""
        with self._lock:
            if (
                self._connections.total() >= self._associations + FURTHER_CONNECTIONS
                or self._connections[address] >= self._associations + _FURTHER_OF_ONE
            ):
                return False
            self._connections[address] += 1
            return True

    def disconnect(self, address: str) -> None:
        """The connection's place is free."""
        with self._lock:
            self._connections[address] -= 1
            self._connections += Counter()  # addresses without a connection are forgotten

    def admit(self, association: Association) -> bool:
        """False where as many associations as may be are admitted and have not ended.

        Who has merely connected, or may not call, counts for nothing here.
        """
        with self._lock:
            self._admitted = {
                each
                for each in self._admitted
                if each.is_alive() and not (each.is_released or each.is_aborted)
            }
            if len(self._admitted) >= self._associations:
                return False
            self._admitted.add(association)
            return True
