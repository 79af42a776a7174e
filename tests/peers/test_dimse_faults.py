"""The DICOM listener where something breaks or somebody tries something: disks, signals, nonsense, crowds."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import structlog
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from sqlalchemy import text

from app.dicom.echo import answers_echo
from app.dimse import DimseIntake
from app.embedded.listener import listen
from app.records.engine import forget_engine, transaction
from app.settings import settings
from tests.builders import a_dicom
from tests.listening import Listening, a_request, dataset, images, listening, refusals, staged
from tests.served import eventually

_CR = "1.2.840.10008.5.1.4.1.1.1"
_ECHO = "1.2.840.10008.1.1"
_ACCEPTED, _ABORTED = 2, 7


def test_after_sigterm_the_next_listener_answers_on_the_same_socket(database: str, broker: str) -> None:
    with listen("127.0.0.1", 0) as kept:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "dimse", "--fd", str(kept.fileno())],
            pass_fds=[kept.fileno()],
            env=os.environ,
            stderr=subprocess.DEVNULL,
        )
        port = kept.getsockname()[1]
        assert answers_echo("127.0.0.1", port, title="FIRSTREAD")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        with listening(kept.dup()) as here:
            assert answers_echo("127.0.0.1", here.port, title="FIRSTREAD")


def test_an_image_that_is_being_stored_is_answered_before_the_listener_ends(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, entered, let = DimseIntake.keep, threading.Event(), threading.Event()

    def slow(intake: DimseIntake, *what: Any) -> None:
        entered.set()
        let.wait(5)
        keep(intake, *what)

    monkeypatch.setattr(DimseIntake, "keep", slow)
    with ThreadPoolExecutor(1) as sender:
        with listening() as here:
            stored = sender.submit(here.store, a_dicom(rows=96, columns=80))
            assert entered.wait(10)
            threading.Timer(0.3, let.set).start()  # while the listener is ending
        assert stored.result(10).get("Status") == 0x0000
    assert len(images()) == 1


def asked(association: Association, request: C_STORE, abstract_syntax: str) -> Any:
    """The answer to a C-STORE request that pynetdicom would not send."""
    association._reactor_checkpoint.clear()  # or it would take the answer itself
    eventually(lambda: association._is_paused)
    [context] = [each for each in association.accepted_contexts if each.abstract_syntax == abstract_syntax]
    association.dimse.send_msg(request, context.context_id or 0)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return answer


def a_store(data: bytes, *, sop_class: str, body: bytes | None = None) -> C_STORE:
    request = C_STORE()
    request.MessageID, request.Priority = 7, 0
    request.AffectedSOPClassUID = sop_class
    request.AffectedSOPInstanceUID = dataset(data).SOPInstanceUID
    request.DataSet = None if body is None else io.BytesIO(body)
    return request


@pytest.mark.parametrize("announced", [_CR, _ECHO])
def test_this_machines_own_question_stores_nothing_whatever_it_announces(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch, announced: str
) -> None:
    monkeypatch.setenv("FIRSTREAD_DIMSE_ALLOW", "CARE7@10.0.0.0/8")
    settings.cache_clear()
    data = a_dicom(rows=96, columns=80)
    body = encode(dataset(data), is_implicit_vr=True, is_little_endian=True)
    with listening() as here, here.association(calling="FIRSTREAD") as association:
        answer = asked(association, a_store(data, sop_class=announced, body=body), _ECHO)
        assert not staged()
    if announced == _CR:  # the other is answered as the C-ECHO that it says it is
        assert (answer.Status, [row.details["reason"] for row in refusals()]) == (0x0122, ["not-an-image"])
    assert images() == []


def test_a_c_store_request_without_a_dataset_is_refused_with_its_reason(here: Listening) -> None:
    data = a_dicom(rows=96, columns=80)
    with here.association(data) as association:
        sop_class = dataset(data).SOPClassUID
        answer = asked(association, a_store(data, sop_class=sop_class), sop_class)
        assert (answer.Status, answer.ErrorComment) == (
            0xC000,
            "The C-STORE request came without a dataset.",
        )
        assert association.send_c_store(dataset(data)).Status == 0x0000
    assert here.counted == ["refused", "admitted"]


def test_what_the_database_says_of_a_row_is_not_logged(
    here: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    renderers: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    monkeypatch.setattr(
        "app.dimse._log", structlog.wrap_logger(structlog.PrintLogger(written), processors=renderers)
    )
    with transaction() as session:
        session.execute(text("ALTER TABLE studies ADD CONSTRAINT no CHECK (patient_id <> 'MARKED')"))
    answer = here.store(a_dicom(rows=96, columns=80, patient_id="MARKED"))
    assert (answer.Status, here.counted) == (0x0110, ["refused"])
    [line] = [each for each in map(json.loads, written.getvalue().splitlines()) if "at" in each]
    assert (line["event"], line["error"]) == ("image_not_admitted", "CheckViolation")
    assert any("app/dimse.py" in frame for frame in line["at"])
    assert "MARKED" not in written.getvalue()


@pytest.mark.parametrize(
    "where", ["app.blobs.StagedFile.__init__", "app.blobs.StagedFile.write", "app.blobs.os.link"]
)
def test_a_disk_that_fails_is_a_failure_that_the_senders_retry_mends(
    here: Listening, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    data = a_dicom(rows=96, columns=80)
    with here.association(data) as association:
        with monkeypatch.context() as away:
            away.setattr(where, fails)
            answer = association.send_c_store(dataset(data))
        assert (answer.get("Status"), answer.get("ErrorComment")) == (
            0xA700,
            "Nothing can be stored at the moment; nothing was accepted",
        )
        assert not staged()
        assert association.send_c_store(dataset(data)).Status == 0x0000
    assert len(images()) == 1


def test_a_database_that_takes_no_changes_is_a_failure_that_the_senders_retry_mends(
    here: Listening, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    data = a_dicom(rows=96, columns=80)
    url = settings().resolved_database_url
    with monkeypatch.context() as replica:
        options = "options=-c%20default_transaction_read_only%3Don"
        replica.setenv("FIRSTREAD_DATABASE_URL", f"{url}{'&' if '?' in url else '?'}{options}")
        settings.cache_clear()
        forget_engine()
        answer = here.store(data)
        assert (answer.Status, answer.ErrorComment) == (
            0xA700,
            "The database takes no changes at the moment",
        )
    settings.cache_clear()
    forget_engine()
    assert here.store(data).Status == 0x0000


def _named(request: bytes, *, called: bytes = b"FIRSTREAD       ", calling: bytes) -> bytes:
    return request[:10] + called + calling + request[42:]


def _first_answer(here: Listening, request: bytes) -> int:
    with here.raw() as connection:
        connection.sendall(request)
        return connection.recv(1)[0]


def test_titles_that_end_with_nuls_are_understood(here: Listening) -> None:
    padded = _named(a_request(), called=b"FIRSTREAD".ljust(16, b"\0"), calling=b"CARE7".ljust(16, b"\0"))
    assert _first_answer(here, padded) == _ACCEPTED


@pytest.mark.parametrize("calling", [b" " * 16, "RÖNTGEN".encode("latin-1").ljust(16)])
def test_a_title_that_is_none_ends_the_association_on_record(here: Listening, calling: bytes) -> None:
    assert _first_answer(here, _named(a_request(), calling=calling)) == _ABORTED
    eventually(refusals)
    [row] = refusals()
    assert (row.details["reason"], row.address) == ("not-understood", "127.0.0.1")


def test_a_uid_that_is_none_ends_the_association_on_record(here: Listening) -> None:
    def element(number: int, value: bytes) -> bytes:
        return struct.pack("<HHL", 0, number, len(value)) + value

    data = a_dicom(rows=96, columns=80)
    with here.association(data) as association:
        [context] = [each for each in association.accepted_contexts if each.abstract_syntax != _ECHO]
        command = element(0x2, str(context.abstract_syntax).encode().ljust(30, b"\0"))
        command += b"".join(
            element(number, struct.pack("<H", value))
            for number, value in ((0x100, 1), (0x110, 9), (0x700, 0), (0x800, 1))
        )
        command += element(0x1000, b"1.2." + b"3" * 66)
        command = element(0, struct.pack("<L", len(command))) + command
        pdvs = b"".join(
            struct.pack(">LBB", len(part) + 2, context.context_id, kind) + part
            for kind, part in ((3, command), (2, b"\0" * 8))
        )
        sending = association.dul.socket
        assert sending is not None and sending.socket is not None
        sending.socket.sendall(struct.pack(">BBL", 4, 0, len(pdvs)) + pdvs)
        eventually(lambda: association.is_aborted)
    eventually(refusals)
    [row] = refusals()
    assert (row.details["reason"], row.details["calling_title"]) == ("not-understood", "CARE7")
    assert not staged()


def test_a_thread_that_cannot_start_keeps_no_place(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_DIMSE_ASSOCIATIONS", "1")
    settings.cache_clear()
    start: Callable[[threading.Thread], None] = threading.Thread.start

    def none_left(thread: threading.Thread) -> None:
        if "process_request_thread" in thread.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    with listening() as here:
        with monkeypatch.context() as crowded:
            crowded.setattr(threading.Thread, "start", none_left)
            for _ in range(10):
                with here.raw() as connection:
                    assert connection.recv(1) == b""
        assert here.store(a_dicom(rows=96, columns=80)).Status == 0x0000


def test_who_only_connects_holds_no_place_of_a_sender(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_DIMSE_ASSOCIATIONS", "1")
    monkeypatch.setenv("FIRSTREAD_DIMSE_ALLOW", "CARE7@127.0.0.0/8")
    settings.cache_clear()
    with listening() as here, ExitStack() as crowd:
        for source in ("127.0.0.1", *["127.0.0.2"] * 12):
            connection = crowd.enter_context(here.raw(source))
            connection.sendall(b"\x01")  # as a request for an association begins
        with here.association() as association:
            assert association.is_established


def test_a_request_for_an_association_of_an_absurd_length_is_not_waited_for(here: Listening) -> None:
    with here.raw() as connection:
        connection.settimeout(5)
        connection.sendall(b"\x01\x00" + struct.pack(">L", 2**18 + 1) + bytes(100))
        assert connection.recv(1) == b""


def test_an_idle_association_is_looked_at_less_often_until_something_comes(here: Listening) -> None:
    data = a_dicom(rows=96, columns=80)
    with here.association(data) as association:
        assert association.dul.socket is not None and association.dul.socket.socket is not None
        port = association.dul.socket.socket.getsockname()[1]
        threads = [each for each in threading.enumerate() if isinstance(each, Association)]
        [ours] = [each for each in threads if each.is_acceptor and each.requestor.port == port]
        eventually(lambda: ours.dul._run_loop_delay > 0.01)
        assert association.send_c_store(dataset(data)).Status == 0x0000
        assert ours.dul._run_loop_delay < 0.01


def test_a_question_of_our_own_that_breaks_is_no_answer(
    here: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answers_echo("127.0.0.1", here.port, title="FIRSTREAD")

    def ended(*_: object) -> Dataset:
        raise RuntimeError("the association with a peer AE must be established before sending a C-ECHO")

    monkeypatch.setattr(Association, "send_c_echo", ended)
    assert not answers_echo("127.0.0.1", here.port, title="FIRSTREAD")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert not answers_echo("127.0.0.1", port, title="FIRSTREAD")
