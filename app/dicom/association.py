"""One DICOM association with somebody who may be hostile: what pynetdicom leaves unbounded is bounded here.

Left alone it reads a PDU of whatever length is claimed, waits for ever where bytes drip, and keeps an image
in memory or in a file of its own. Here a PDU has a longest length and a time to arrive in, and an image goes
to a staged file as it comes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from io import BytesIO

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
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from app.blobs import StagedFile
from app.dicom.part10 import PREAMBLE
from app.errors import Problem

LONGEST_PDU = 2**20
"""Bytes of any PDU. We ask for images in much shorter ones; a request for an association may be long."""
ASKED_PDU = 2**17
LONGEST_IMAGE_SECONDS = 600.0
"""What one image may take to arrive, from its first byte."""
_LONGEST_COMMAND = 2**16
_MOST_UNANSWERED = 1
"""Messages that may wait while one is answered: nobody may send more than one before the answer."""
_READ_BYTES = 2**16
_IMPLEMENTATION = UID("2.25.285937419127390617294516409217")

_log = structlog.get_logger(__name__)

_config.LOG_HANDLER_LEVEL = "none"
# Its messages quote what was received; whoever must know is told by our own log.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)


class BoundedSocket(AssociationSocket):
    """A connection whose every PDU is of a sane length and arrives in time."""

    def __init__(self, association: Association, connection: object, *, hello: float, silence: float) -> None:
        super().__init__(association, client_socket=connection)  # type: ignore[arg-type]
        self._hello, self._silence = hello, silence
        assert self.socket is not None
        self.socket.settimeout(silence)

    def recv(self, nr_bytes: int) -> bytearray:
        """As many bytes, or fewer where the peer closed. Raises OSError for too many and where they drip."""
        assert self.socket is not None
        if nr_bytes > LONGEST_PDU:
            raise OSError("a PDU of that length is never needed")
        until = time.monotonic() + (self._silence if self.assoc.is_established else self._hello)
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
                self.discard()
        return len(data)

    def _file_meta(self) -> bytes:
        if not isinstance(self._message, C_STORE_RQ):
            raise ValueError("a dataset without a C-STORE request")
        context = self._association._accepted_cx[self._message.context_id or 0]
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = self._message.command_set.AffectedSOPClassUID
        meta.MediaStorageSOPInstanceUID = self._message.command_set.AffectedSOPInstanceUID
        meta.TransferSyntaxUID = context.transfer_syntax[0]
        meta.ImplementationClassUID = _IMPLEMENTATION
        buffer = DicomBytesIO()
        write_file_meta_info(buffer, meta)
        return PREAMBLE + buffer.getvalue()

    def discard(self) -> None:
        """Nothing of it is left, where it was not kept."""
        if self.staged is not None:
            self.staged.discard()
            self.staged = None


class BoundedMessages(DIMSEServiceProvider):
    """Messages of an association: images go to staged files, and what makes no sense ends the association."""

    def __init__(self, association: Association, stage: Callable[[], StagedFile]) -> None:
        super().__init__(association)
        self._stage = stage
        self._ended = False
        self._incoming: list[Incoming] = []

    @property
    def is_receiving(self) -> bool:
        """True while part of a message has come."""
        return self.message is not None

    def receive_primitive(self, primitive: P_DATA) -> None:
        """The next fragments of a message."""
        if self._ended:
            return
        if self.message is None:
            message = DIMSEMessage()
            message.data_set = Incoming(message, self.assoc, self._stage)
            self._incoming = [each for each in self._incoming if each.staged is not None]
            self._incoming.append(message.data_set)
            self.message = message
        message = self.message
        began = self._incoming[-1].began
        try:
            super().receive_primitive(primitive)
        except Exception as error:  # noqa: BLE001, whatever the bytes were, they were no message
            _log.warning("message_not_understood", error=type(error).__name__)
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
