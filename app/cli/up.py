"""`firstread up`: everything on one machine, as children of this process."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.commands.backup_refusal import refuse_half_restored
from app.embedded.child import Child
from app.embedded.home import Home
from app.embedded.listener import DICOM, address_of, listen
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.refusal import CannotStart, StartCancelled
from app.embedded.signals import Signals
from app.embedded.sizes import connections_for, machine_memory, shared_buffers_for
from app.embedded.supervisor import Program, Server, Supervisor
from app.embedded.valkey import EmbeddedValkey
from app.settings import Settings, settings

_WEB_SECONDS = 180.0
_TRIM_SECONDS = 60.0


@dataclass(frozen=True)
class Prepared:
    """What `firstread prepare` made."""

    one_time_password: str | None
    samples: int


def up(*, until_parent_ends: bool) -> None:
    """Runs until somebody asks for the end; then nothing that was started here runs any more.

    Raises CannotStart with a sentence when it could not start, and BackupRefused while a restore has not
    ended; nothing runs then either.
    """
    started = time.monotonic()
    signals = Signals(until_parent_ends=until_parent_ends)
    signals.listen()
    configured = settings()
    home = Home(configured.home)
    home.open()
    supervisor = Supervisor(signals=signals, say=say)
    listener: socket.socket | None = None
    dicom: socket.socket | None = None
    try:
        refuse_half_restored(configured.blob_folder)
        listener = listen(configured.host, configured.port)
        say(f"FirstRead starts; its data is in {home.folder}.")
        dicom = dicom_socket(configured)
        addresses = _start_servers(configured, home, supervisor, signals, listener)
        home.publish(**addresses)
        _step(started, "database and broker run")
        prepared = _prepare(home, signals)
        home.publish(**addresses, prepared="yes")
        _step(started, f"database ready{_samples_in_words(prepared)}")
        if signals.requested():
            raise StartCancelled
        _start_programs(configured, home, supervisor, signals, listener, dicom)
        _step(started, "web server, screening, duty and training worker run")
        if dicom is not None:
            host, port = dicom.getsockname()[:2]
            say(f"DICOM: {configured.dimse_title} listens on {host}, port {port} (C-STORE, C-ECHO)")
        say(f"Ready: {address_of(listener)} (logs in {home.logs}; Ctrl-C stops everything)")
        supervisor.watch(every_second=_trim_logs(home))
    except StartCancelled:  # Ctrl-C while it started: what was started is stopped below, as after a run
        pass
    finally:
        if signals.requested():
            say("FirstRead stops ...")
        for listening in (listener, dicom):
            if listening is not None:
                listening.close()
        supervisor.stop()
        home.close()
    say("FirstRead has stopped; its data stays.")


def dicom_socket(configured: Settings) -> socket.socket | None:
    """Where the DICOM listener listens; None where it is switched off, or its port is not to be had: the rest
    of the service needs neither.
    """
    if not configured.dimse:
        return None
    try:
        return listen(configured.dimse_host, configured.dimse_port, DICOM)
    except CannotStart as refusal:
        say(f"{refusal} There is no DICOM listener until the next start.")
        return None


def _trim_logs(home: Home) -> Callable[[], None]:
    """What there is to do beside watching."""
    trimmed = time.monotonic()

    def every_second() -> None:
        nonlocal trimmed
        if time.monotonic() - trimmed > _TRIM_SECONDS:
            home.trim_logs()
            trimmed = time.monotonic()

    return every_second


def say(text: str) -> None:
    """One line at the terminal; a terminal that is gone is no reason to fail."""
    try:
        print(text, flush=True)
    except (OSError, ValueError):  # as the first line says
        pass


def _start_servers(
    configured: Settings, home: Home, supervisor: Supervisor, signals: Signals, listener: socket.socket
) -> dict[str, str]:
    """Database and broker answer; those configured by address are used as they are. What commands need to
    find them, and the web server.
    """
    database_url, broker_url = configured.database_url, configured.broker_url
    if database_url is None:
        postgres = EmbeddedPostgres(
            home.postgres,
            log=home.log("postgres"),
            connections=connections_for(web_processes=configured.web_processes),
            shared_buffers=shared_buffers_for(machine_memory()),
        )
        supervisor.start(Server("PostgreSQL", postgres, signals=signals))
        database_url = postgres.url
        if postgres.outside is not None:
            say(
                f"The database lies in {postgres.outside}: PostgreSQL cannot run as root, and no other user "
                f"can reach {home.folder}."
            )
    if broker_url is None:
        valkey = EmbeddedValkey(home.valkey, log=home.log("valkey"))
        supervisor.start(Server("Valkey", valkey, signals=signals))
        broker_url = valkey.url
        if valkey.moved_aside is not None:
            say(
                f"The broker's data could not be read and is now in {valkey.moved_aside}; nothing is lost "
                "by that."
            )
    return {
        "database_url": database_url,
        "broker_url": broker_url,
        "url": address_of(listener),
        "pid": str(os.getpid()),
    }


def _prepare(home: Home, signals: Signals) -> Prepared:
    """The database is migrated and the service has its first administrator."""
    reader, writer = os.pipe()
    log = home.log("prepare")
    try:
        child = Child(_command("prepare", "--json"), log=log, output=writer)
    finally:
        os.close(writer)
    with os.fdopen(reader) as said:
        while child.wait(0.02) is None and not signals.requested():
            pass
        code = child.stop(())
        made = said.read()
    if not made.endswith("\n"):
        if signals.requested():
            raise StartCancelled
        last = Program("", (), log=log).last_words()
        told = code == 1 and last.endswith(".")
        raise CannotStart(last if told else f"The database was not prepared ({last}); {log} says more.")
    prepared = Prepared(**json.loads(made))
    if prepared.one_time_password is not None:  # even where the end was asked for meanwhile: it is told once
        say(f"First sign-in: user admin, one-time password {prepared.one_time_password} (shown only now).")
    return prepared


def _start_programs(
    configured: Settings,
    home: Home,
    supervisor: Supervisor,
    signals: Signals,
    listener: socket.socket,
    dicom: socket.socket | None,
) -> None:
    """The web server answers, and its other processes and the workers run or are about to."""
    counts = home.folder_in_memory("metrics")
    # the variable must be there before the interpreter starts
    counting = ("/usr/bin/env", f"PROMETHEUS_MULTIPROC_DIR={counts}")
    command = _command("web", "--fd", str(listener.fileno()))
    web = [
        Program(
            "web server" if number == 0 else f"web server {number + 1}",
            (*counting, *command),
            log=home.log("web"),
            pass_fds=(listener.fileno(),),
        )
        for number in range(configured.web_processes)
    ]
    supervisor.start(web[0])
    supervisor.start(Program("screening worker", _command("worker"), log=home.log("worker")))
    _await_answer(web[0], home, signals, listener)
    for further in web[1:]:
        supervisor.start(further)
    # last, so that on two cores it takes no time from the two that users wait for
    supervisor.start(Program("duty worker", _command("duty"), log=home.log("duty")))
    supervisor.start(Program("training worker", _command("trainer"), log=home.log("trainer")))
    if dicom is not None:
        words = (*counting, *_command("dimse", "--fd", str(dicom.fileno())))
        log, sockets = home.log("dimse"), (dicom.fileno(),)
        supervisor.start(Program("DICOM listener", words, log=log, pass_fds=sockets))


def _await_answer(web: Program, home: Home, signals: Signals, listener: socket.socket) -> None:
    """The web server has answered one request, which waited in the listening socket until it could."""
    deadline = time.monotonic() + _WEB_SECONDS
    place = urlsplit(address_of(listener))
    with socket.create_connection((place.hostname, place.port), timeout=_WEB_SECONDS) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while not select.select([connection], [], [], 0.05)[0]:
            if (how := web.ended()) is not None or time.monotonic() > deadline:
                why = how or f"no answer in {_WEB_SECONDS:.0f} s"
                raise CannotStart(f"The web server did not start ({why}); {home.log('web')} says more.")
            if signals.requested():
                raise StartCancelled
        said = connection.recv(64).decode(errors="replace")
    if " 200 " not in said:
        raise CannotStart(
            f"The web server does not work ({said.splitlines()[:1]}); {home.log('web')} says more."
        )


def _step(started: float, done: str) -> None:
    say(f"{time.monotonic() - started:6.1f} s  {done}")


def _samples_in_words(prepared: Prepared) -> str:
    if not prepared.samples:
        return ""
    return f", {prepared.samples} sample studies loaded (generated phantoms, not patients)"


def _command(*words: str) -> Sequence[str]:
    """Our own command line in this very environment; -P keeps the working folder's modules out of it."""
    return (sys.executable, "-P", "-m", "app.cli", *words)
