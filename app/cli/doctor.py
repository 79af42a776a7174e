"""`firstread doctor`: what is right and what is wrong, one line each, with what to do."""

from __future__ import annotations

import http.client
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from app.checks import Check, examine
from app.checks.machine import MACHINE
from app.checks.service import SERVICE
from app.checks.wrong import Wrong
from app.cli.refusals import in_words
from app.cli.running import service_url
from app.embedded.home import held
from app.settings import Settings, settings

_MARKS = {True: "ok   ", False: "WRONG", None: "?    "}


def doctor() -> int:
    """Prints one line per check; returns 0 when all is well, 1 otherwise."""
    configured, all_fine = settings(), True
    for finding in examine(configured, checks_of(configured), unforeseen=_of_stranger):
        print(f"{_MARKS[finding.fine]} {finding.name:22} {finding.said}", flush=True)
        all_fine = all_fine and finding.fine is True
    return 0 if all_fine else 1


def checks_of(configured: Settings) -> Sequence[Check]:
    """What the operator's page shows, and what only a terminal on the service's machine can see besides."""
    here = (Check(name="python", look=_python), Check(name="service", look=_service))
    if configured.database_url is None and not held(configured.home):
        return (*here, *MACHINE, Check(name="bundle", look=_bundle))
    promoted = Check(name="bundle", look=_promoted_bundle, after=("network",))
    return (*here, *SERVICE, promoted, Check(name="web server", look=_web))


def _python(_configured: Settings) -> str:
    return f"{platform.python_version()} on {platform.machine()}, {sys.platform}"


def _service(configured: Settings) -> str:
    if configured.database_url is not None:
        return "configured by FIRSTREAD_DATABASE_URL"
    if not held(configured.home):
        raise Wrong(f"FirstRead is not running on {configured.home.absolute()}; start it with make run.")
    return f"running on {configured.home.absolute()}"


def _bundle(configured: Settings) -> str:
    """The file that a first start would promote can be loaded on this machine."""
    from models.bundle import default_bundle_path

    return _loaded(configured.bundle or default_bundle_path(), configured)


def _promoted_bundle(configured: Settings) -> str:
    """The one that reads can be loaded on this machine."""
    from app.blobs import Blobs
    from app.queries import soundness
    from app.records.engine import transaction

    with transaction() as session:
        bundle = soundness.promoted(session)
    assert bundle is not None
    return _loaded(Blobs(configured.blob_folder).path(bundle.sha256), configured)


def _loaded(file: Path, configured: Settings) -> str:
    from models.bundle import Bundle, BundleRefused

    try:
        bundle = Bundle.load(file, device=configured.device)
    except BundleRefused as error:
        raise Wrong(f"{error} Promote another network, or start the version that made this one.") from error
    return f"{bundle.manifest.name} {bundle.manifest.version} on {bundle.runtime}"


def _web(configured: Settings) -> str:
    url = service_url(configured)
    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname or "", place.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except OSError as error:
        raise Wrong(f"{url} does not answer: {error}. Start firstread web, or see its log.") from error
    finally:
        connection.close()
    if status != 200:
        raise Wrong(f"{url}/readyz answers {status}; the logs say why.")
    return f"{url} is ready"


def _of_stranger(error: Exception) -> str:
    """What an error that no check expects says of itself; a refusal that is a sentence needs no type."""
    said = in_words(error) or str(error)
    return said if said.endswith(".") else f"{type(error).__name__}: {said}"
