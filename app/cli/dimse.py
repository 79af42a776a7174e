"""`firstread dimse`: the DICOM listener, C-STORE and C-ECHO."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import threading

import structlog

from app import queue, tracing
from app.checks.dimse import PART, ListeningPlace
from app.cli.logs import configure_logs
from app.commands.backup_refusal import refuse_half_restored
from app.dicom.echo import answers_echo, answers_hello
from app.dicom.listener import Listener, ListenerOptions
from app.dimse import VIA, DimseIntake
from app.embedded.listener import DICOM, listen
from app.settings import Settings, settings
from app.web.metrics import images_received

REPORT_SECONDS = 5.0
_GRACE_SECONDS = 5.0
_log = structlog.get_logger(__name__)


def dimse(*, fd: int | None) -> None:
    """Listens until SIGINT or SIGTERM, on the inherited socket `fd` or on a new one."""
    configured = settings()
    refuse_half_restored(configured.blob_folder)
    configure_logs(configured)
    queue.configure(configured)
    threading.excepthook = _told
    stop = threading.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: stop.set())
    listening = (
        socket.socket(fileno=fd)
        if fd is not None
        else listen(configured.dimse_host, configured.dimse_port, DICOM)
    )
    address = listening.getsockname()[:2]
    intake = DimseIntake(configured, count=lambda outcome: images_received.labels(VIA, outcome).inc())
    tracing.start(configured, part="dimse")
    listener = Listener(listening, options_of(configured), intake)
    serving = threading.Thread(target=_until_it_ends, args=(listener, stop), name="dimse", daemon=True)
    serving.start()
    threading.Thread(target=_report, args=(configured, address, stop), name="report", daemon=True).start()
    _log.info("dimse_listens", title=configured.dimse_title, host=address[0], port=address[1])
    stop.wait()
    failed = not serving.is_alive()
    if not failed:
        listener.stop(grace_seconds=_GRACE_SECONDS)
    intake.close()
    tracing.stop()
    sys.exit(1 if failed else 0)


def options_of(configured: Settings) -> ListenerOptions:
    """How the settings want it."""
    return ListenerOptions(
        title=configured.dimse_title,
        any_title=configured.dimse_any_title,
        allow=configured.dimse_callers,
        associations=configured.dimse_associations,
        silence_seconds=configured.dimse_timeout,
        tls=_tls(configured),
    )


def _tls(configured: Settings) -> ssl.SSLContext | None:
    """TLS as a server; senders show a certificate where the site names who signs them."""
    if configured.dimse_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=configured.dimse_client_ca)
    context.load_cert_chain(configured.dimse_certificate)
    if configured.dimse_client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _until_it_ends(listener: Listener, stop: threading.Event) -> None:
    try:
        listener.serve()
    finally:
        stop.set()


def place_of(configured: Settings, address: tuple[str, int]) -> ListeningPlace:
    """What is said of the listener, to whoever wants to send."""
    return ListeningPlace(
        title=configured.dimse_title,
        host=address[0],
        port=str(address[1]),
        tls="yes" if configured.dimse_certificate else "",
        echoed="" if configured.dimse_client_ca else "yes",
        senders=",".join(configured.dimse_allow),
    )


def _report(configured: Settings, address: tuple[str, int], stop: threading.Event) -> None:
    """Says every few seconds where the listener listens, as long as it answers a C-ECHO of our own; without a
    certificate for that, as long as it answers the beginning of TLS.
    """
    name = f"{PART}-{os.getpid()}@{socket.gethostname()}"
    facts = place_of(configured, address).facts()
    while not stop.is_set():
        if _answers(configured, address):
            queue.report(name, facts, seconds=3 * REPORT_SECONDS)
        else:
            _log.error("dimse_does_not_answer")
        stop.wait(REPORT_SECONDS)


def _answers(configured: Settings, address: tuple[str, int]) -> bool:
    tls = None
    if configured.dimse_certificate is not None:
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # it is asked on this machine
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], address[0])  # noqa: S104, not bound
    if tls is not None and configured.dimse_client_ca is not None:
        return answers_hello(host, address[1], tls=tls)  # we have no certificate that it would believe
    return answers_echo(host, address[1], title=configured.dimse_title, tls=tls)


def _told(arguments: threading.ExceptHookArgs) -> None:
    """A thread that ended by an error says so in a line that holds nothing of what was received."""
    _log.error(
        "thread_ended", thread=arguments.thread and arguments.thread.name, error=arguments.exc_type.__name__
    )
