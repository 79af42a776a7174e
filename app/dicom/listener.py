"""The DICOM listener: C-ECHO and C-STORE (PS3.4 annexes A and B) for those who may call.

It knows the network and DICOM; what becomes of an image is its `Intake`'s affair.
"""

from __future__ import annotations

import socket
import ssl
import sys
import time
from dataclasses import dataclass
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from app.dicom.association import (
    A_ASSOCIATE_RQ,
    ASKED_PDU,
    BoundedMessages,
    BoundedSocket,
    Door,
    Incoming,
    take_padded_titles,
)
from app.dicom.contexts import ECHO, ECHO_AND_STORE
from app.dicom.places import FURTHER_CONNECTIONS, Places
from app.dicom.sender import Announced, Intake, Sender
from app.domain.callers import AllowedCaller, may_call
from app.errors import Problem, Unreadable, frames_of

_LONGEST_COMMENT = 64
_NOT_RECOGNISED = {"calling": (1, 1, 3), "called": (1, 1, 7)}
_COME_BACK = (2, 3, 2)
_WE_ABORT = "Evt15"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ListenerOptions:
    """How the listener listens."""

    title: str
    any_title: bool
    allow: tuple[AllowedCaller, ...]
    associations: int
    silence_seconds: float
    tls: ssl.SSLContext | None = None

    @property
    def hello_seconds(self) -> float:
        """What a connection has to ask for an association, and a TLS handshake to be done."""
        return min(10.0, self.silence_seconds)


class _Connection(RequestHandler):
    """One connection, from its first byte to its last."""

    server: _Server

    def handle(self) -> None:
        """Returns when the association has ended, or at once for what is no DICOM."""
        options = self.server.options
        hello_until = time.monotonic() + options.hello_seconds
        if not self.server.may_ask(self.request, str(self.client_address[0])):
            return
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(options.hello_seconds)
            self.request.do_handshake()
        elif not self._asks_for_an_association():
            return
        association = self._create_association()
        association.acceptor.supported_contexts = list(ECHO_AND_STORE)
        messages = BoundedMessages(association, self.server.intake.stage)
        association.dimse = messages
        association.acse = Door(association, self.server.refusal)
        association.dul.socket = BoundedSocket(
            association, self.request, hello_until=hello_until, silence=options.silence_seconds
        )
        take_padded_titles(association.dul)
        association.dul.event_queue.get()  # the first socket told of the connection, and the second again
        association.dul.daemon = True
        try:
            association.start()
            association.join()
        finally:
            messages.discard()

    def _asks_for_an_association(self) -> bool:
        """Whether the first byte begins an A-ASSOCIATE-RQ; a probe that sends nothing holds no place."""
        self.request.settimeout(self.server.options.hello_seconds)
        first: bytes = self.request.recv(1, socket.MSG_PEEK)
        return first[:1] == bytes([A_ASSOCIATE_RQ])


class _Server(ThreadedAssociationServer):
    """pynetdicom's server on a socket that listens already, with a bounded number of connections."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, ae: AE, listening: socket.socket, options: ListenerOptions, intake: Intake) -> None:
        self.options, self.intake = options, intake
        self._listening = listening
        self._places = Places(options.associations)
        super().__init__(
            ae,
            listening.getsockname(),
            options.title,
            [],  # each association is given them as they are: a copy of all takes 20 ms
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_FSM_TRANSITION, self._note_nonsense)],
            request_handler=_Connection,
        )
        self._gc = [0, 300]  # what ended associations leave is collected every half minute

    def server_bind(self) -> None:
        """Takes the socket that listens."""
        assert self.socket is not None
        self.socket.close()
        self.socket = self._listening
        self.server_address = self._listening.getsockname()

    def server_activate(self) -> None:
        """It listens already."""

    def server_close(self) -> None:
        """Lets the socket go; it goes on listening for whoever else has it, such as our successor."""
        self._listening.close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection; the handshake of TLS is left to its own thread."""
        connection, address = self._listening.accept()
        if self.options.tls is not None:
            connection = self.options.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """False where all places are taken: the connection is closed without a word."""
        return self._places.connect(str(client_address[0]))

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begins the connection's thread. Raises RuntimeError where there can be none."""
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.disconnect(str(client_address[0]))
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """The listener goes on; the connection is closed."""
        error = sys.exception()
        _log.error("connection_not_served", error=type(error).__name__, at=frames_of(error))

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection in a thread of its own."""
        try:
            self.finish_request(request, client_address)
        except OSError:  # it went away, or speaks no TLS
            pass
        finally:
            self.shutdown_request(request)
            self._places.disconnect(str(client_address[0]))

    def may_ask(self, connection: socket.socket, address: str) -> bool:
        """False where nobody may call from that address; it is then not even listened to."""
        allowed = any(may_call(each.title, address, [each]) for each in self.options.allow)
        if allowed or _is_ourselves(connection):
            return True
        self.intake.turned_away(None, address, why="unknown-address")
        return False

    def refusal(self, association: Association) -> tuple[int, int, int] | None:
        """What is answered to whoever asks for the association; None is yes."""
        request = association.requestor.primitive
        assert request is not None
        calling, called = str(request.calling_ae_title).strip(), str(request.called_ae_title).strip()
        address = str(association.requestor.address)
        own = association.dul.socket
        if calling == called == self.options.title and own and own.socket and _is_ourselves(own.socket):
            association.acceptor.supported_contexts = [ECHO]
        elif not may_call(calling, address, self.options.allow):
            self.intake.turned_away(calling, address, why="unknown-calling-title")
            return _NOT_RECOGNISED["calling"]
        elif called != self.options.title and not self.options.any_title:
            self.intake.turned_away(calling, address, why="unknown-called-title")
            return _NOT_RECOGNISED["called"]
        return None if self._places.admit(association) else _COME_BACK

    def _store(self, event: evt.Event) -> Dataset:
        """The answer to a C-STORE request, given once the image is safe or refused."""
        incoming = event.request.DataSet  # type: ignore[union-attr]
        sender = Sender(
            title=str(event.assoc.requestor.ae_title).strip(), address=str(event.assoc.requestor.address)
        )
        staged, problem = (
            (incoming.staged, incoming.problem) if isinstance(incoming, Incoming) else (None, None)
        )
        try:
            if staged is None:
                problem = problem or Unreadable("The C-STORE request came without a dataset.")
                self.intake.not_received(problem, sender)
                raise problem
            announced = Announced(
                sop_class_uid=str(event.request.AffectedSOPClassUID),
                sop_instance_uid=str(event.request.AffectedSOPInstanceUID),  # type: ignore[union-attr]
            )
            self.intake.keep(staged, announced, sender)
        except Problem as refused:
            return _status(refused)
        finally:
            if isinstance(incoming, Incoming):
                incoming.discard()
        return _of(0x0000)

    def _note_nonsense(self, event: evt.Event) -> None:
        """Called at each step of an association: where it is a step of PS3.8 that ends it for what came."""
        if event.action == "AA-8" or (event.action == "AA-1" and event.fsm_event != _WE_ABORT):
            request = event.assoc.requestor.primitive
            title = None if request is None else str(request.calling_ae_title).strip()
            self.intake.not_understood(title, str(event.assoc.requestor.address))


class Listener:
    """A listener on a socket; `serve` it in one thread and `stop` it from another."""

    def __init__(self, listening: socket.socket, options: ListenerOptions, intake: Intake) -> None:
        ae = AE(ae_title=options.title)
        ae.maximum_pdu_size = ASKED_PDU
        ae.maximum_associations = options.associations + FURTHER_CONNECTIONS
        ae.acse_timeout = options.hello_seconds
        ae.dimse_timeout = ae.network_timeout = options.silence_seconds
        self._server = _Server(ae, listening, options, intake)
        ae._servers.append(self._server)

    def serve(self) -> None:
        """Answers until `stop`."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self, *, grace_seconds: float) -> None:
        """Nobody is answered any more; images on their way have so long to come to their end."""
        self._server.shutdown()
        until = time.monotonic() + grace_seconds
        while time.monotonic() < until and any(
            _is_at_work(each) for each in self._server.active_associations
        ):
            time.sleep(0.05)
        for association in self._server.active_associations:
            association.abort()


def _is_at_work(association: Association) -> bool:
    messages = association.dimse
    return association.is_established and isinstance(messages, BoundedMessages) and messages.are_at_work


def _is_ourselves(connection: socket.socket) -> bool:
    """True where both ends have one address: the caller is on this machine."""
    try:
        return bool(connection.getsockname()[0] == connection.getpeername()[0])
    except OSError:  # it is gone
        return False


def _status(problem: Problem) -> Dataset:
    """PS3.4 B.2.3: what was refused and why, in as many of its words as a status has room for."""
    answer = _of(0xA700 if problem.retry_helps else problem.dicom_failure_reason)
    words = problem.detail
    first = words.partition(". ")[0]
    short = first if len(first) <= _LONGEST_COMMENT else first[: _LONGEST_COMMENT - 3].rstrip() + "..."
    answer.ErrorComment = short.encode("ascii", "replace").decode().replace("\\", "/")
    return answer


def _of(status: int) -> Dataset:
    answer = Dataset()
    answer.Status = status
    return answer
