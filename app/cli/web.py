"""`firstread web`: one web server process."""

from __future__ import annotations

import gc
import resource
import socket
from typing import Any

import uvicorn

from app import queue
from app.cli.logs import configure_logs
from app.commands.backup_refusal import refuse_half_restored
from app.embedded.listener import listen
from app.settings import Settings, settings
from app.web.connection import MOST_CONNECTIONS, BoundedConnection
from app.web.main import create_app

_GRACE_SECONDS = 5


def web(*, fd: int | None) -> None:
    """Serves until SIGINT or SIGTERM, on the inherited socket `fd` or on a new one."""
    configured = settings()
    refuse_half_restored(configured.blob_folder)
    configure_logs(configured)
    queue.configure(configured)
    listener = socket.socket(fileno=fd) if fd is not None else listen(configured.host, configured.port)
    _allow_open_files(2 * MOST_CONNECTIONS)
    server = server_of(create_app(), configured)
    # no collection looks through what lives as long as the process: some page would wait for each
    gc.collect()
    gc.freeze()
    server.run(sockets=[listener])


def _allow_open_files(wanted: int) -> None:
    """As many as are wanted and may be had: what a shell or systemd allows at first is often 1,024."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or most > wanted:
        most = wanted
    if now != resource.RLIM_INFINITY and now < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def server_of(application: Any, configured: Settings, *, port: int = 8000) -> uvicorn.Server:
    """The server of an ASGI application; `port` counts where it is given no socket."""
    return uvicorn.Server(
        uvicorn.Config(
            application,
            port=port,
            loop="uvloop",
            http=BoundedConnection,
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
