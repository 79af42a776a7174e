"""`firstread alive`: whether one part of the service works on this host; for containers' health checks."""

from __future__ import annotations

import http.client
import socket
import sys

from app.cli.running import service_url
from app.embedded.home import held
from app.settings import Settings, settings

_SECONDS = 5.0


def alive(part: str) -> int:
    """0 when the part (web, screening, duty, training, dimse) answers on this host, 1 with a sentence
    otherwise.
    """
    configured = settings()
    answers = _web_answers(configured) if part == "web" else _worker_answers(configured, part)
    if not answers:
        print(f"No {part} process answers on this host.", file=sys.stderr)
    return 0 if answers else 1


def _web_answers(configured: Settings) -> bool:
    """Asks the process itself, not the address that users reach it by, which may be a proxy's."""
    port = int(service_url(configured).rpartition(":")[2]) if held(configured.home) else configured.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _worker_answers(configured: Settings, part: str) -> bool:
    """Asks over the broker; a worker that hangs or has lost the broker does not answer. The DICOM listener
    has said there that it answered a C-ECHO.
    """
    from app import queue

    queue.configure(configured)
    if not queue.ready():
        return False
    here = f"@{socket.gethostname()}"
    if part == "dimse":
        names = list(queue.workers())
    else:
        replies = queue.queue.control.ping(timeout=_SECONDS, limit=None) or []
        names = [name for reply in replies for name in reply]
    return any(name.startswith(f"{part}-") and name.endswith(here) for name in names)
