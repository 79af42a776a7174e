"""`firstread web`: one web server process."""

from __future__ import annotations

import socket

import uvicorn

from app import queue
from app.cli.logs import configure_logs
from app.embedded.listener import listen
from app.settings import settings
from app.web.main import create_app

_GRACE_SECONDS = 5


def web(*, fd: int | None) -> None:
    """Serves until SIGINT or SIGTERM, on the inherited socket `fd` or on a new one."""
    configured = settings()
    configure_logs(configured)
    queue.configure(configured)
    listener = socket.socket(fileno=fd) if fd is not None else listen(configured.host, configured.port)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(),
            loop="uvloop",
            http="httptools",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            # uvicorn would believe whoever is on this machine, or FORWARDED_ALLOW_IPS
            proxy_headers=bool(configured.trusted_proxies),
            forwarded_allow_ips=list(configured.trusted_proxies),
            # open event streams never end by themselves
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    server.run(sockets=[listener])
