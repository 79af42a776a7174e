"""Which network reads: the bundle promoted last, loaded from the blobs, exchanged between batches."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from app.blobs import Blobs
from app.commands import registry, shadow
from app.commands.registry import Lacking
from app.domain.roles import SYSTEM
from app.domain.sentence import sentence
from app.errors import NotFound
from app.records.engine import transaction
from models.bundle import Bundle, BundleRefused, default_bundle_path
from models.manifest import to_json
from worker.memory import give_back_freed

_PAUSE_AFTER_REFUSAL = 2.0
"""Seconds for which a bundle that was refused is not loaded again, so that a broken one costs little."""

_NOT_LOADED = sentence("The network could not be loaded.")

_log = structlog.get_logger(__name__)


class NetworkUnavailable(Exception):
    """No network can read at the moment; the message is a sentence for the worklist."""

    def __init__(self, said: str, *, promotion: int | None) -> None:
        """`promotion` is the one that cannot be followed; None where there is none."""
        super().__init__(said)
        self.lacking = Lacking(promotion=promotion)


@dataclass(frozen=True)
class Loaded:
    """A bundle that reads, under the name the records know it by."""

    sha256: str
    bundle: Bundle


class Network:
    """The process's network."""

    def __init__(self, blobs: Blobs, *, device: str, configured: Path | None) -> None:
        self._blobs = blobs
        self._device = device
        self._configured = configured
        self._offered = False
        self._from_offer: Bundle | None = None
        self._loaded: Loaded | None = None
        self._refused: tuple[str, str, float] | None = None

    def current(self) -> Loaded:
        """The bundle that was promoted last, ready to screen.

        The first call of a new site promotes the configured bundle, or the one shipped. Raises
        NetworkUnavailable when the promoted bundle cannot be used (an older one never reads in its stead),
        and Unavailable without a database.
        """
        if not self._offered:
            self._offer()
            self._offered = True
        with transaction() as session:
            promotion, sha256 = registry.last_promotion(session)
        if sha256 is None:
            raise NetworkUnavailable("No network has been promoted at this site.", promotion=None)
        if self._loaded is None or self._loaded.sha256 != sha256:
            self._loaded = None  # whatever comes of it, the old one has read its last
            self._loaded = self._load(sha256, promotion=promotion)
        return self._loaded

    def describe(self) -> dict[str, str]:
        """What the worker says of itself: the network it reads with, or why it has none."""
        if self._loaded is not None:
            manifest = self._loaded.bundle.manifest
            return {
                "network": f"{manifest.name} {manifest.version}",
                "bundle": self._loaded.sha256,
                "runtime": self._loaded.bundle.runtime,
            }
        return {"refused": self._refused[1]} if self._refused is not None else {}

    def _load(self, sha256: str, *, promotion: int | None) -> Loaded:
        if self._refused is not None:
            refused, said, at = self._refused
            if refused == sha256 and time.monotonic() - at < _PAUSE_AFTER_REFUSAL:
                raise NetworkUnavailable(said, promotion=promotion)
        started = time.monotonic()
        bundle, self._from_offer = self._from_offer, None
        try:
            path = self._blobs.path(sha256)
            if bundle is None or bundle.manifest.sha256 != sha256:
                bundle = Bundle.load(path, device=self._device)
            if bundle.manifest.sha256 != sha256:
                raise BundleRefused("The stored bytes are not those that were promoted.")
        except (BundleRefused, NotFound) as error:
            said = f"{_NOT_LOADED} {error}"
            self._refused = (sha256, said, time.monotonic())
            _log.error("network_refused", bundle=sha256[:12], reason=str(error))
            raise NetworkUnavailable(said, promotion=promotion) from error
        give_back_freed()
        _log.info(
            "network_loaded",
            bundle=sha256[:12],
            name=bundle.manifest.name,
            version=bundle.manifest.version,
            runtime=bundle.runtime,
            seconds=round(time.monotonic() - started, 2),
        )
        return Loaded(sha256, bundle)

    def _offer(self) -> None:
        """Registers the configured or shipped bundle; promotes it where the site has decided nothing yet.

        Afterwards it is a candidate beside the one that reads, and waits for the gate and for people.
        """
        path = self._configured or default_bundle_path()
        with transaction() as session:
            active = registry.active_bundle(session)
            decided, sha256 = active is not None, _sha256(path)
            if self._configured is not None and active is not None and sha256 not in ("", active):
                _log.warning(
                    "configured_bundle_waits",
                    bundle=sha256[:12],
                    reads=active[:12],
                    reason="The site has decided which network reads; this one is a candidate.",
                )
            if decided and registry.is_known(session, sha256=sha256):
                return
        try:
            bundle = Bundle.load(path, device=self._device)
        except BundleRefused as error:
            if decided:
                _log.error("configured_bundle_refused", reason=str(error))
                return
            raise NetworkUnavailable(f"{_NOT_LOADED} {error}", promotion=None) from error
        sha256 = self._blobs.put(path.read_bytes())
        self._from_offer = bundle  # most likely what reads next: loaded twice, it would take its memory twice
        reason = "configured by the site" if self._configured else "shipped with the program"
        with transaction() as session:
            registry.register(
                session, sha256=sha256, manifest=json.loads(to_json(bundle.manifest)), by=SYSTEM
            )
            if registry.promote_first(session, sha256=sha256, by=SYSTEM, reason=reason):
                shadow.give_way(session, sha256=sha256, by=SYSTEM)


def _sha256(path: Path) -> str:
    """Of the file's bytes; of none where it cannot be read, which loading it will say."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
