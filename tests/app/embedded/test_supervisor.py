"""Parts that end are started again; all of them end together, in order."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.embedded.child import Child, process_alive
from app.embedded.listener import address_of, listen
from app.embedded.refusal import CannotStart
from app.embedded.signals import Signals
from app.embedded.supervisor import Program, Server, Supervisor
from app.embedded.valkey import EmbeddedValkey


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


SLEEPS = python("import time; time.sleep(60)")
FAILS = python("import sys; sys.exit('No network can be loaded.')")


def wait_for(word: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while not (log.exists() and word in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_child_takes_its_own_children_with_it(folder: Path) -> None:
    log = folder / "log"
    code = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    child = Child(python(code), log=log)
    wait_for("\n", log)
    grandchild = int(log.read_text())
    child.stop(((signal.SIGTERM, 5.0),))
    assert not process_alive(grandchild)


def test_a_child_that_will_not_hear_is_killed(folder: Path) -> None:
    log = folder / "log"
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    child = Child(python(f"{deaf}; print('up', flush=True); time.sleep(60)"), log=log)
    wait_for("up", log)
    assert child.stop(((signal.SIGTERM, 0.2),)) == -signal.SIGKILL


def watched(
    supervisor: Supervisor, signals: Signals, *, until: Callable[[], bool], seconds: float = 10
) -> None:
    """Watches until the condition holds."""
    deadline = time.monotonic() + seconds

    def every_second() -> None:
        if until() or time.monotonic() > deadline:
            signals.request()

    supervisor.watch(every_second=every_second)
    assert time.monotonic() < deadline


def test_a_part_that_was_killed_is_started_again_and_the_terminal_told(folder: Path) -> None:
    said: list[str] = []
    signals = Signals()
    supervisor = Supervisor(signals=signals, say=said.append)
    program = Program("web server", SLEEPS, log=folder / "log")
    supervisor.start(program)
    assert program._child is not None
    first = program._child.pid
    os.kill(first, signal.SIGKILL)
    watched(supervisor, signals, until=lambda: program._child is not None and program._child.pid != first)
    assert said == ["The web server ended (killed by SIGKILL); starting it again in 0.5 s."]
    second = program._child.pid
    supervisor.stop()
    assert not process_alive(second)


def test_a_part_that_keeps_failing_is_started_less_and_less_often(folder: Path) -> None:
    said: list[str] = []
    signals = Signals()
    supervisor = Supervisor(signals=signals, say=said.append)
    supervisor.start(Program("worker", FAILS, log=folder / "log"))
    watched(supervisor, signals, until=lambda: len(said) >= 2)
    supervisor.stop()
    assert said[:2] == [
        "The worker ended (exit code 1; No network can be loaded.); starting it again in 0.5 s.",
        "The worker ended (exit code 1; No network can be loaded.); starting it again in 1 s.",
    ]


def test_programs_end_before_the_servers_they_need(folder: Path) -> None:
    order = folder / "order"
    code = (
        "import signal, socket, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(0.5)\n"
        "    socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n"
        "    open(sys.argv[2], 'a').write('reached the server;')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True)\n"
        "time.sleep(60)"
    )
    signals = Signals()
    supervisor = Supervisor(signals=signals, say=lambda _text: None)
    server = EmbeddedValkey(folder / "valkey")
    supervisor.start(Server("Valkey", server, signals=signals))
    for name in ("worker", "web server"):
        log = folder / name
        supervisor.start(Program(name, [*python(code), str(server.socket), str(order)], log=log))
        wait_for("up", log)
    started = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - started < 8
    assert order.read_text() == "reached the server;reached the server;"
    assert server.exit_code() is None
    assert server.pid is None


def test_errors_in_a_log_are_shown_a_few_at_a_time(folder: Path) -> None:
    log = folder / "log"
    program = Program("worker", SLEEPS, log=log)
    log.write_text(
        "2026 [info     ] fine\n" + "".join(f"2026 [error    ] broke {n}\n" for n in range(5)) + "2026 [err"
    )
    assert program.news() == [
        "2026 [error    ] broke 0",
        "2026 [error    ] broke 1",
        "2026 [error    ] broke 2",
        f"... and 2 more in {log}",
    ]
    assert program.news() == []


def test_a_port_in_use_is_told_with_another_to_try() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotStart, match=f"Port {port} on 127.0.0.1 is in use .* PORT={port + 1}"):
            listen("127.0.0.1", port)


def test_a_host_that_is_not_here_is_told() -> None:
    with pytest.raises(CannotStart, match="no address of this machine"):
        listen("192.0.2.1", 0)
    with pytest.raises(CannotStart, match="no address of this machine"):
        listen("not a host", 0)


def test_the_address_shown_can_be_opened_on_this_machine() -> None:
    with listen("0.0.0.0", 0) as listener:
        assert address_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_connection_whose_peer_has_vanished_is_noticed() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            if hasattr(socket, "TCP_KEEPIDLE"):
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
