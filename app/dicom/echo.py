"""C-ECHO to a DICOM listener: whether it answers."""

from __future__ import annotations

import socket
import ssl

from pynetdicom import AE

from app.dicom.contexts import ECHO

_SECONDS = 5.0


def answers_echo(host: str, port: int, *, title: str, tls: ssl.SSLContext | None = None) -> bool:
    """True where the listener answers our C-ECHO, or says that all its places are taken.

    It is called by its own title, which the listener knows as a question of this machine's own.
    """
    try:
        return _is_echoed(host, port, title, tls)
    except (OSError, RuntimeError, ValueError):  # the association ended meanwhile, or could not begin
        return False


def answers_hello(host: str, port: int, *, tls: ssl.SSLContext) -> bool:
    """True where the listener answers the beginning of TLS, if only by asking for a certificate."""
    try:
        with socket.create_connection((host, port), timeout=_SECONDS) as connection:
            tls.wrap_socket(connection).close()
    except ssl.SSLError:
        return True
    except OSError:
        return False
    return True


def _is_echoed(host: str, port: int, title: str, tls: ssl.SSLContext | None) -> bool:
    ae = AE(ae_title=title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _SECONDS
    association = ae.associate(
        host, port, contexts=[ECHO], ae_title=title, tls_args=None if tls is None else (tls, host)
    )
    if not association.is_established:
        answered = association.acceptor.primitive
        return association.is_rejected and answered is not None and answered.result == 2
    try:
        return bool(association.send_c_echo().get("Status") == 0x0000)
    finally:
        association.release()
