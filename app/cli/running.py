"""Finding the service that a command is for, and who gives the command."""

from __future__ import annotations

import json
import os
import pwd
import time

from app.domain.roles import Actor
from app.embedded.home import held
from app.settings import ServiceNotRunning, Settings, settings

_STARTING_SECONDS = 60.0
"""A command waits so long for a service that starts: its database may be about to be made or migrated."""


def running_settings() -> Settings:
    """The settings of a service whose database is ready; raises ServiceNotRunning with a sentence.

    A service of our own leaves a file when it is killed: the lock, which the kernel lets go, says the truth.
    """
    configured = settings()
    if configured.database_url is not None:
        return configured
    deadline = time.monotonic() + _STARTING_SECONDS
    while held(configured.home):
        if "prepared" in _told(configured):
            return configured
        if time.monotonic() > deadline:
            raise ServiceNotRunning(
                f"FirstRead is starting on {configured.home.absolute()}, and its database is not ready yet. "
                "Try again when it says that it is."
            )
        time.sleep(0.1)
    raise ServiceNotRunning(
        f"FirstRead is not running on {configured.home.absolute()}. Start it with `make run`, or set "
        "FIRSTREAD_HOME to the folder of the one that runs, or FIRSTREAD_DATABASE_URL to its database."
    )


def service_url(configured: Settings) -> str:
    """The web server's address, as the running service or the configuration tells it."""
    if configured.database_url is None and (url := _told(configured).get("url")):
        return url.rstrip("/")
    return (configured.public_url or f"http://{configured.host}:{configured.port}").rstrip("/")


def _told(configured: Settings) -> dict[str, str]:
    """What the service of this home tells of itself; nothing where none runs, or it has only just begun."""
    try:
        return dict(json.loads(configured.service_file.read_text()))
    except (OSError, ValueError):
        return {}


def at_the_terminal() -> Actor:
    """Whoever may run commands here; the audit names the account of the operating system."""
    try:
        account = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        account = str(os.geteuid())
    return Actor(kind="system", id=None, name=f"command line ({account})")
