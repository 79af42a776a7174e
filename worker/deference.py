"""A worker that lacks the network beside workers that have it leaves the studies to them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from worker.network import Network, NetworkUnavailable
from worker.recorder import Recorder

_REST_SECONDS = 1.0
"""How long such a worker sleeps once it has passed a bell on."""

_log = structlog.get_logger(__name__)


class Deference:
    """Whether this worker claims at all."""

    def __init__(
        self,
        network: Network,
        *,
        others_read: Callable[[], bool] = lambda: False,
        pass_on: Callable[[], None] = lambda: None,
    ) -> None:
        """`others_read` says whether another worker has a network, `pass_on` rings the bell again for it."""
        self._network = network
        self._others_read = others_read
        self._pass_on = pass_on

    def is_due(self, recorder: Recorder, stop: threading.Event) -> bool:
        """True where this worker cannot read and another can: then no study loses an attempt here, and the
        bell is rung again where one waits.

        Where nobody can read, studies are claimed all the same, so that they say why. Raises Unavailable
        without a database.
        """
        try:
            self._network.current()
        except NetworkUnavailable as error:
            if not self._others_read():
                return False
            if recorder.is_due():
                _log.warning("left_to_other_workers", reason=str(error))
                self._pass_on()
                stop.wait(_REST_SECONDS)  # meanwhile the bell is heard by one that can read
            return True
        return False
