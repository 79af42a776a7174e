"""Finding the service that a command is for, and who gives the command."""

from __future__ import annotations

import json
import os
import pwd

from app.domain.roles import Actor
from app.embedded.home import held
from app.settings import ServiceNotRunning, Settings, settings


def running_settings() -> Settings:
    """The settings of a service that runs; raises ServiceNotRunning with a sentence.

    A service of our own leaves a file when it is killed: the lock, which the kernel lets go, says the truth.
    """
    configured = settings()
    if configured.database_url is None and not held(configured.home):
        raise ServiceNotRunning(
            f"FirstRead is not running on {configured.home.absolute()}. Start it with `make run`, or set "
            "FIRSTREAD_HOME to the folder of the one that runs, or FIRSTREAD_DATABASE_URL to its database."
        )
    return configured


def service_url(configured: Settings) -> str:
    """The web server's address, as the running service or the configuration tells it."""
    if configured.database_url is None:
        try:
            return str(json.loads(configured.service_file.read_text())["url"])
        except (OSError, ValueError, KeyError):  # none runs, or its file is being written: as configured
            pass
    return (configured.public_url or f"http://{configured.host}:{configured.port}").rstrip("/")


def at_the_terminal() -> Actor:
    """Whoever may run commands here; the audit names the account of the operating system."""
    try:
        account = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        account = str(os.geteuid())
    return Actor(kind="system", id=None, name=f"command line ({account})")
