"""One DICOM association with somebody who may be hostile: what pynetdicom leaves unbounded is bounded here.

Left alone it reads a PDU of whatever length is claimed, waits for ever where bytes drip, and keeps an image
in memory or in a file of its own. Here a PDU has a longest length and a time to arrive in, and an image goes
to a staged file as it comes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from queue import Empty
from typing import Any

import structlog
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom import _config
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from app.blobs import StagedFile
from app.dicom.contexts import ECHO
from app.dicom.part10 import PREAMBLE
from app.domain.sentence import sentence
from app.errors import NotAnImage, Problem, Unavailable

LONGEST_PDU = 2**20
"""Bytes of any PDU. We ask for images in much shorter ones."""
ASKED_PDU = 2**17
_LONGEST_REQUEST = 2**18
"""Bytes of a request for an association, with all classes and syntaxes of all senders we know."""
LONGEST_IMAGE_SECONDS = 600.0
"""What one image may take to arrive, from its first byte."""
_LONGEST_COMMAND = 2**16
A_ASSOCIATE_RQ = 1
NOT_STORED = sentence("Nothing can be stored at the moment; nothing was accepted. Try again later.")
_MOST_UNANSWERED = 1
"""Messages that may wait while one is answered: nobody may send more than one before the answer."""
_READ_BYTES = 2**16
_BUSY_SECONDS = 0.5
"""So long after something came, more is expected at once."""
_PAUSE_SECONDS, _IDLE_SECONDS = 0.001, 0.02
"""Between two looks at an association at work, and at one that is not."""
_IMPLEMENTATION = UID("2.25.285937419127390617294516409217")

_log = structlog.get_logger(__name__)

_config.LOG_HANDLER_LEVEL = "none"
# Its messages quote what was received; whoever must know is told by our own log.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)


class BoundedSocket(AssociationSocket):
    """A connection whose every PDU is of a sane length and arrives in time."""

    def __init__(
        self, association: Association, connection: object, *, hello_until: float, silence: float
    ) -> None:
        """The request for an association is whole by `hello_until` (as by `time.monotonic`), or too late."""
        super().__init__(association, client_socket=connection)  # type: ignore[arg-type]
        self._hello_until, self._silence = hello_until, silence
        self._heard = time.monotonic()
        assert self.socket is not None
        self.socket.settimeout(silence)

    @property
    def ready(self) -> bool:
        """Whether something has come. Where nothing has for a while it is asked for less often."""
        found, now = super().ready, time.monotonic()
        if found:
            self._heard = now
        self.assoc.dul._run_loop_delay = (
            _PAUSE_SECONDS if now - self._heard < _BUSY_SECONDS else _IDLE_SECONDS
        )
        return found

    def recv(self, nr_bytes: int) -> bytearray:
        """As many bytes, or fewer where the peer closed. Raises OSError for too many and where they drip."""
        assert self.socket is not None
        established = self.assoc.is_established
        if nr_bytes > (LONGEST_PDU if established else _LONGEST_REQUEST):
            raise OSError("a PDU of that length is never needed")
        until = time.monotonic() + self._silence if established else self._hello_until
        received = bytearray()
        while len(received) < nr_bytes:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the rest of a PDU did not come")
            self.socket.settimeout(left)
            chunk = self.socket.recv(min(nr_bytes - len(received), _READ_BYTES))
            if not chunk:
                break
            received += chunk
        self.socket.settimeout(self._silence)
        return received


class Incoming(BytesIO):
    """The dataset of a message as it comes: Part 10 in a staged file, its own bytes as they were sent.

    `problem` says why it was not kept; then the rest of it is read and forgotten, so that its sender can be
    told. The file meta says nothing of sender or version: the same image has the same bytes again.
    """

    def __init__(
        self, message: DIMSEMessage, association: Association, stage: Callable[[], StagedFile]
    ) -> None:
        super().__init__()
        self.began = time.monotonic()
        self.staged: StagedFile | None = None
        self.problem: Problem | None = None
        self._message, self._association, self._stage = message, association, stage

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Appends. Raises ValueError or LookupError where no image was announced."""
        if self.problem is None:
            try:
                if self.staged is None:
                    self.staged = self._stage()
                    self.staged.write(self._file_meta())
                self.staged.write(data)
            except Problem as problem:
                self.problem = problem
            except OSError as error:
                _log.error("image_not_staged", error=type(error).__name__, errno=error.errno)
                self.problem = Unavailable(NOT_STORED)
            if self.problem is not None:
                self.discard()
        return len(data)

    def _file_meta(self) -> bytes:
        if not isinstance(self._message, C_STORE_RQ):
            raise ValueError("a dataset without a C-STORE request")
        context = self._association._accepted_cx[self._message.context_id or 0]
        announced = self._message.command_set.AffectedSOPClassUID
        if announced != context.abstract_syntax or announced == ECHO.abstract_syntax:
            raise NotAnImage("The SOP class is not that of the presentation context.")
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = announced
        meta.MediaStorageSOPInstanceUID = self._message.command_set.AffectedSOPInstanceUID
        meta.TransferSyntaxUID = context.transfer_syntax[0]
        meta.ImplementationClassUID = _IMPLEMENTATION
        buffer = DicomBytesIO()
        write_file_meta_info(buffer, meta)
        return PREAMBLE + buffer.getvalue()

    def discard(self) -> None:
        """Nothing of it is left, where it was not kept."""
        if self.staged is not None:
            with suppress(OSError):  # the disk does not even remove it; the sweep does in a day
                self.staged.discard()
            self.staged = None


class BoundedMessages(DIMSEServiceProvider):
    """Messages of an association: images go to staged files, and what makes no sense ends the association."""

    def __init__(self, association: Association, stage: Callable[[], StagedFile]) -> None:
        super().__init__(association)
        self._stage = stage
        self._ended = False
        self._incoming: list[Incoming] = []
        self._begun = self._answered = 0  # each is counted by a thread of its own

    @property
    def are_at_work(self) -> bool:
        """True from the first bytes of a message until its answer is on its way."""
        return self._begun > self._answered

    def get_msg(self, block: bool = False) -> Any:
        """The next message, as soon as it is there; a while for it is no busy waiting."""
        try:
            return self.msg_queue.get(timeout=self.dimse_timeout if block else _IDLE_SECONDS)
        except Empty:
            return None, None

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """An answer goes before anything that is sent later, an A-ABORT too."""
        super().send_msg(primitive, context_id)
        self._answered += 1

    def receive_primitive(self, primitive: P_DATA) -> None:
        """The next fragments of a message."""
        if self._ended:
            return
        if self.message is None:
            self._begun += 1
            message = DIMSEMessage()
            message.data_set = Incoming(message, self.assoc, self._stage)
            self._incoming = [each for each in self._incoming if each.staged is not None]
            self._incoming.append(message.data_set)
            self.message = message
        message = self.message
        began = self._incoming[-1].began
        try:
            super().receive_primitive(primitive)
        except Exception:  # noqa: BLE001, whatever the bytes were, they were no message
            self._end()
        if (
            time.monotonic() - began > LONGEST_IMAGE_SECONDS
            or message.encoded_command_set.tell() > _LONGEST_COMMAND
            or self.msg_queue.qsize() > _MOST_UNANSWERED
        ):
            self._end()

    def _end(self) -> None:
        self._ended = True
        self.dul.event_queue.put("Evt19")  # PS3.8 9.2.3: an invalid PDU, which aborts

    def discard(self) -> None:
        """No staged file is left of what nobody answered; called when the association has ended."""
        for incoming in self._incoming:
            incoming.discard()


def take_padded_titles(dul: DULServiceProvider) -> None:
    """AE titles of a request that end with NULs are taken as if they ended with blanks (PS3.8 table 9-11)."""
    decode = dul._decode_pdu

    def decoded(pdu: bytearray) -> Any:
        if pdu[0] == A_ASSOCIATE_RQ:
            for title in (slice(10, 26), slice(26, 42)):
                pdu[title] = pdu[title].rstrip(b"\0").ljust(len(pdu[title]))
        return decode(pdu)

    dul._decode_pdu = decoded  # type: ignore[assignment]


class Door(ACSE):
    """Who may associate: `refusal` names result, source and diagnostic of PS3.8 table 9-21, or None."""

    def __init__(
        self, association: Association, refusal: Callable[[Association], tuple[int, int, int] | None]
    ) -> None:
        super().__init__(association)
        self._refusal = refusal

    def _negotiate_as_acceptor(self) -> None:
        request = self.requestor.primitive
        assert request is not None
        self.requestor.ae_title = request.calling_ae_title
        if (refused := self._refusal(self.assoc)) is not None:
            self.send_reject(*refused)
            self.assoc.kill()
            return
        super()._negotiate_as_acceptor()
