"""C-ECHO and C-STORE by DCMTK, as modalities and archives speak them, and by pynetdicom."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from pydicom.uid import (
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE, _config
from pynetdicom.presentation import build_context
from sqlalchemy import func, select

from app import queue as queue_
from app.blobs import Blobs
from app.checks.dimse import dicom_listener
from app.cli.alive import alive
from app.cli.dimse import _answers, place_of
from app.commands.audit import RefusalLog
from app.dicom.contexts import SOP_CLASSES, TRANSFER_SYNTAXES
from app.dicom.encode import ENCAPSULATED
from app.dicom.phantom import draw_phantom
from app.dicom.write import wrap
from app.domain.roles import Role, Scope
from app.queue import queue
from app.records import AuditEvent, Image, Study
from app.records.engine import forget_engine, transaction
from app.settings import settings
from tests.builders import PASSWORD, a_dicom, a_key, a_user, admit
from tests.listening import Listening, a_request, dataset, file_of, images, listening, refusals, staged
from tests.served import eventually, serving

_REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
"""Basic Text SR Storage."""


def body_of(data: bytes) -> bytes:
    """The encoded dataset behind preamble and file meta."""
    found = dataset(data)
    return data[144 + found.file_meta.FileMetaInformationGroupLength :]


def test_echoscu_is_answered(here: Listening) -> None:
    assert here.dcmtk("echoscu").returncode == 0


def test_storescu_stores_an_image_that_waits_to_be_screened(here: Listening, tmp_path: Path) -> None:
    data = a_dicom(patient_id="P1")
    sent = here.dcmtk("storescu", file_of(tmp_path, data))
    assert sent.returncode == 0, sent.stderr
    [image] = images()
    assert (image.received_via, image.source, image.file_name) == ("dimse", "CARE7", None)
    with transaction() as session:
        study = session.scalars(select(Study)).one()
        assert (study.patient_id, study.state) == ("P1", "admitted")
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "image.admitted")).one()
    assert (event.actor_kind, event.actor_name, event.address) == ("device", "CARE7", "127.0.0.1")
    assert (event.details["via"], here.counted) == ("dimse", ["admitted"])
    assert not staged()
    assert queue.connection_for_write().default_channel.client.llen("screening") == 1


def test_dcmsend_sends_files_of_several_syntaxes_over_one_association(
    here: Listening, tmp_path: Path
) -> None:
    syntaxes = (ExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless)
    files = [
        file_of(tmp_path, a_dicom(transfer_syntax=syntax), f"{number}.dcm")
        for number, syntax in enumerate(syntaxes)
    ]
    sent = here.dcmtk("dcmsend", "--decompress-never", *files)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert {image.transfer_syntax_uid for image in images()} == set(syntaxes)


def test_every_image_class_is_taken_in_every_syntax_that_can_be_decoded(here: Listening) -> None:
    ae = AE(ae_title="CARE7")
    contexts = [
        *(build_context(uid, list(TRANSFER_SYNTAXES)) for uid in SOP_CLASSES),
        *(build_context(SOP_CLASSES[0], syntax) for syntax in TRANSFER_SYNTAXES),
        build_context(_REPORT),
    ]
    assert {"1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1"} < set(SOP_CLASSES)
    assert set(TRANSFER_SYNTAXES) > ENCAPSULATED
    association = ae.associate("127.0.0.1", here.port, contexts=contexts, ae_title="FIRSTREAD")
    assert len(association.accepted_contexts) == len(SOP_CLASSES) + len(TRANSFER_SYNTAXES)
    assert [context.abstract_syntax for context in association.rejected_contexts] == [_REPORT]
    association.release()


def test_what_is_stored_of_a_dataset_is_byte_for_byte_what_was_sent(
    here: Listening, blobs: Blobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)  # the sender sends the file's own bytes
    syntaxes = (JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless, ImplicitVRLittleEndian)
    sent = [a_dicom_of_8_bits(), *(a_dicom(transfer_syntax=syntax) for syntax in syntaxes)]
    with here.association(*sent) as association:
        for data in sent:
            assert association.send_c_store(Path(file_of(tmp_path, data))).Status == 0x0000
    for data, image in zip(sent, images(), strict=True):
        stored = blobs.read(image.sha256)
        assert body_of(stored) == body_of(data)
        found, was = dataset(stored), dataset(data)
        assert found.file_meta.TransferSyntaxUID == was.file_meta.TransferSyntaxUID
        assert found.file_meta.MediaStorageSOPInstanceUID == was.SOPInstanceUID


def a_dicom_of_8_bits() -> bytes:
    phantom = draw_phantom(style="normal", seed=3, rows=320, columns=270)
    return wrap((phantom.pixels >> (phantom.bits - 8)).astype("uint8"), transfer_syntax=JPEGBaseline8Bit)


def test_the_same_image_again_is_a_success_and_creates_nothing(here: Listening, blobs: Blobs) -> None:
    data = a_dicom()
    assert here.store(data).Status == 0x0000
    assert here.store(data, calling="ROUTER").Status == 0x0000
    assert len(images()) == 1
    assert here.counted == ["admitted", "duplicate"]
    with transaction() as session:  # by STOW it comes with the file meta of its maker
        again = admit(session, blobs, data, via="stow")
    assert again.study_id == images()[0].study_id
    with transaction() as session:
        assert session.scalar(select(func.count()).where(Image.superseded_by.is_(None))) == 1
        assert session.scalar(select(func.count()).select_from(Study)) == 1


def test_nobody_else_is_let_in(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FIRSTREAD_DIMSE_ALLOW", "CARE7@127.0.0.0/8,CARE8@10.0.0.0/8")
    settings.cache_clear()
    path = file_of(tmp_path, a_dicom())
    with listening() as here:
        assert here.dcmtk("storescu", path, calling="CARE7").returncode == 0
        for calling in ("CARE8", "STRANGER"):
            refused = here.dcmtk("storescu", path, calling=calling)
            assert refused.returncode != 0
            assert "Calling AE Title Not Recognized" in refused.stderr
        refused = here.dcmtk("echoscu", "-aec", "ARCHIVE")
        assert "Called AE Title Not Recognized" in refused.stderr
    assert len(images()) == 1
    told = {(row.details["reason"], row.details["calling_title"], row.address) for row in refusals()}
    assert told == {
        ("unknown-calling-title", "CARE8", "127.0.0.1"),
        ("unknown-calling-title", "STRANGER", "127.0.0.1"),
        ("unknown-called-title", "CARE7", "127.0.0.1"),
    }


def test_the_counts_of_callers_that_have_stopped_are_written_while_the_listener_goes_on(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_DIMSE_ALLOW", "*@10.0.0.0/8")
    monkeypatch.setattr("app.dimse.RefusalLog", partial(RefusalLog, window_seconds=0.5))
    settings.cache_clear()
    with listening() as here:
        for _ in range(25):
            with here.raw("127.0.0.2") as connection:
                assert connection.recv(1) == b""
        eventually(lambda: sum(row.count for row in refusals()) == 25)


def test_an_address_that_nobody_may_call_from_is_not_listened_to(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_DIMSE_ALLOW", "*@10.0.0.0/8")
    settings.cache_clear()
    with listening() as here:
        # 127.0.0.2 is another address than the listener's own
        with here.raw("127.0.0.2") as connection:
            assert connection.recv(1) == b""
        assert here.dcmtk("echoscu", calling="FIRSTREAD").returncode == 0  # this machine's own question
    [row] = refusals()
    assert (row.details["reason"], row.address, row.actor_kind) == (
        "unknown-address",
        "127.0.0.2",
        "anonymous",
    )


def test_this_machines_own_question_stores_nothing(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_DIMSE_ALLOW", "CARE7@127.0.0.1")
    settings.cache_clear()
    data = a_dicom()
    with listening() as here, here.association(data, calling="FIRSTREAD") as association:
        assert association.send_c_echo().Status == 0x0000
        with pytest.raises(ValueError, match="has been accepted by the peer"):
            association.send_c_store(dataset(data))


def test_what_cannot_be_taken_is_refused_with_its_reason(here: Listening) -> None:
    report = dataset(a_dicom())
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(report, keyword)
    too_large = dataset(a_dicom())
    too_large.Rows = 20_000
    good = a_dicom()
    with here.association(good) as association:
        damaged = association.send_c_store(report)
        assert (damaged.Status, damaged.ErrorComment) == (0xC000, "The DICOM file ends before its pixels")
        assert association.send_c_store(too_large).Status == 0xA700
        assert association.send_c_store(dataset(good)).Status == 0x0000  # one refusal ends nothing
    assert len(images()) == 1
    assert here.counted == ["refused", "refused", "admitted"]
    assert [row.details["reason"] for row in refusals()] == ["unreadable-file", "too-large"]
    assert not staged()


def test_a_larger_image_than_the_site_takes_is_refused_and_read_to_its_end(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FIRSTREAD_MAX_FILE_BYTES", "100000")
    settings.cache_clear()
    large, small = a_dicom(), a_dicom(rows=64, columns=64)
    with listening() as here, here.association(large, small) as association:
        refused = association.send_c_store(dataset(large))
        assert refused.Status == 0xA700
        assert refused.ErrorComment == "A file may have at most 100,000 bytes"
        assert association.send_c_store(dataset(small)).Status == 0x0000
    assert len(images()) == 1
    assert not staged()


def test_a_silent_database_is_a_failure_that_the_senders_retry_mends(
    here: Listening, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str
) -> None:
    path = file_of(tmp_path, a_dicom())
    with monkeypatch.context() as away:
        away.setenv("FIRSTREAD_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:9/nothing")
        settings.cache_clear()
        forget_engine()
        failed = here.dcmtk("storescu", "-v", path)
        assert "Refused: OutOfResources" in failed.stderr
    settings.cache_clear()
    forget_engine()
    assert not staged()
    assert images() == []
    assert here.dcmtk("storescu", path).returncode == 0
    assert len(images()) == 1


def test_a_full_disk_is_a_failure_and_nothing_is_half_kept(
    here: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    data = a_dicom()
    with monkeypatch.context() as away:
        away.setattr("app.blobs.os.fsync", full)
        refused = here.store(data)
    assert (refused.Status, refused.ErrorComment) == (0xA700, "The disk is full; nothing was accepted")
    assert images() == []
    assert not staged()
    assert here.store(data).Status == 0x0000


def test_an_association_that_is_cut_leaves_nothing(here: Listening) -> None:
    data = a_dicom(rows=640, columns=540)
    with here.association(data) as association:
        sent: list[bytes] = []
        socket_ = association.dul.socket
        assert socket_ is not None and socket_.socket is not None
        whole = socket_.send

        def until_the_middle(bytestream: bytes) -> None:
            sent.append(bytestream)
            if len(sent) < 4:  # the command and two pieces of the dataset
                whole(bytestream)

        socket_.send = until_the_middle  # type: ignore[method-assign]
        storing = threading.Thread(target=association.send_c_store, args=(dataset(data),), daemon=True)
        storing.start()
        eventually(lambda: len(sent) > 3 and staged())
        socket_.socket.shutdown(socket.SHUT_RDWR)
        eventually(lambda: not staged())
    assert images() == []
    assert here.dcmtk("echoscu").returncode == 0


def test_ten_senders_at_once_lose_nothing(here: Listening) -> None:
    files = [a_dicom(rows=96, columns=80) for _ in range(30)]
    batches = [files[start::10] for start in range(10)]

    def send(batch: list[bytes]) -> list[int]:
        with here.association(*batch) as association:
            return [association.send_c_store(dataset(data)).Status for data in batch]

    with ThreadPoolExecutor(10) as senders:
        assert [status for batch in senders.map(send, batches) for status in batch] == [0x0000] * 30
    assert len(images()) == 30


def test_one_association_too_many_is_told_to_come_back(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_DIMSE_ASSOCIATIONS", "1")
    settings.cache_clear()
    with listening() as here:
        with here.association(), here.association() as second:
            assert second.is_rejected
            assert second.acceptor.primitive is not None
            answer = second.acceptor.primitive
            assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
        eventually(lambda: here.dcmtk("echoscu").returncode == 0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nothing_that_comes_to_the_port_ends_the_listener(here: Listening) -> None:
    request = a_request()
    for hostile in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00\xff\xff\xff\xff" + b"\x00" * 64,
        b"\x01\x00\x00\x00\x00\x10" + b"\xff" * 16,
        request[:40],
        request + b"\x04\x00\xff\xff\xff\xff",
        request + b"\x04\x00\x00\x00\x00\x0a\x00\x00\x00\x06\x01\x03\xff\xff\xff\xff",
        request + b"\x04\x00\x00\x00\x00\x0a\x00\x00\x00\x06\x01\x02\x00\x00\x00\x00",
        request + request,
        request + os.urandom(200),
    ):
        with here.raw() as connection:
            connection.sendall(hostile)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):  # it answers or closes, and waits for nothing more
                pass
    assert here.dcmtk("echoscu").returncode == 0
    assert not staged()


def test_whoever_says_nothing_more_loses_the_place(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_DIMSE_TIMEOUT", "0.5")
    settings.cache_clear()
    request = a_request()
    with listening() as here:
        for begun in (request, request + b"\x04\x00\x00\x00\x01\x00"):  # silent, and in a PDU's middle
            with here.raw() as connection:
                connection.sendall(begun)
                while connection.recv(4096):
                    pass


def test_with_tls_only_senders_with_a_certificate_are_heard(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, both = tmp_path / "cert.pem", tmp_path / "both.pem"
    key = tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *(
                "-nodes",
                "-subj",
                "/CN=localhost",
                "-days",
                "2",
                "-keyout",
                str(key),
                "-out",
                str(certificate),
            ),
        ],
        check=True,
        capture_output=True,
    )
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    monkeypatch.setenv("FIRSTREAD_DIMSE_CERTIFICATE", str(both))
    monkeypatch.setenv("FIRSTREAD_DIMSE_CLIENT_CA", str(certificate))
    settings.cache_clear()
    data = a_dicom()
    known = ssl.create_default_context(cafile=str(certificate))
    known.load_cert_chain(both)
    nameless = ssl.create_default_context(cafile=str(certificate))
    with listening() as here:
        with here.raw() as silent, here.association(data, tls_args=(known, "localhost")) as association:
            assert association.send_c_store(dataset(data)).Status == 0x0000
            assert silent.fileno() > 0  # whoever only connects keeps nobody waiting
        with here.association(data, tls_args=(nameless, "localhost")) as association:
            assert not association.is_established
        with here.association(data) as association:
            assert not association.is_established
        assert _answers(settings(), ("127.0.0.1", here.port))
        place = place_of(settings(), ("127.0.0.1", here.port))
    assert not _answers(settings(), ("127.0.0.1", here.port))
    with socket.create_server(
        ("127.0.0.1", 0)
    ) as mute:  # the kernel takes the connection, and nobody answers
        monkeypatch.setattr("app.dicom.echo._SECONDS", 0.2)
        assert not _answers(settings(), mute.getsockname()[:2])
    queue_.report("dimse-1@here", place.facts(), seconds=60)
    assert dicom_listener(settings()) == f"FIRSTREAD listens at 127.0.0.1, port {place.port}."
    assert len(images()) == 1


def test_the_line_on_the_empty_worklist_sends_a_study_to_the_service(
    database: str, broker: str, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "counts").mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "counts"))
    monkeypatch.setenv("FIRSTREAD_DIMSE_PORT", "0")
    settings.cache_clear()
    with transaction() as session:
        a_user(session, "alice", Role.RADIOLOGIST)
        key = a_key(session, "prometheus", Scope.OPERATIONS)
    with serving(home, "dimse") as service, service.client() as client:
        client.post("/sign-in", data={"username": "alice", "password": PASSWORD})

        def line() -> str | None:
            found = re.search(r'<pre data-line="storescu">(.*)</pre>', client.get("/").text)
            return found and found[1]

        shown = eventually(line)
        assert isinstance(shown, str)
        (tmp_path / "chest.dcm").write_bytes(a_dicom(patient_id="P-BY-DIMSE"))
        subprocess.run(shown.split(), cwd=tmp_path, check=True, timeout=60)
        assert "P-BY-DIMSE" in client.get("/").text
        assert alive("dimse") == 0
        counts = client.get("/metrics", headers={"Authorization": f"Bearer {key}"}).text
        assert 'firstread_images_received_total{outcome="admitted",via="dimse"} 1.0' in counts


def test_an_image_that_takes_for_ever_ends_its_association(
    here: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.dicom.association.LONGEST_IMAGE_SECONDS", 0.0)
    data = a_dicom(rows=640, columns=540)  # comes in several PDUs
    with here.association(data) as association:
        assert "Status" not in association.send_c_store(dataset(data))
        eventually(lambda: association.is_aborted)
    assert images() == []
    eventually(lambda: not staged())


def test_a_pdu_of_an_absurd_length_is_not_waited_for(here: Listening) -> None:
    with here.raw() as connection:
        connection.settimeout(5)
        connection.sendall(a_request() + b"\x04\x00\x7f\xff\xff\xff" + bytes(100))
        while connection.recv(4096):  # what it sends is an answer to the request, and then an end
            pass
