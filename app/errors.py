"""Every error knows its HTTP status, its stable problem type and whether trying again can help.

A problem's `detail` is one or two sentences for the person who caused it: what was wrong, and what to send
instead. It never holds patient data.
"""

from __future__ import annotations

import traceback
from typing import Any, ClassVar

from app.domain.sentence import sentence


class Problem(Exception):
    """An error that a caller may see; becomes an RFC 9457 problem document at the web's edge."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = sentence("Something broke on our side")
    retry_helps: ClassVar[bool] = False
    dicom_failure_reason: ClassVar[int] = 0x0110
    """FailureReason for a STOW-RS answer (PS3.18 table I.2-2); 0x0110 is a processing failure."""

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extensions = extensions


class BadRequest(Problem):
    """The request cannot be understood."""

    status = 400
    slug = "bad-request"
    title = sentence("The request cannot be understood")


class NotSignedIn(Problem):
    """No valid session or API key came with the request."""

    status = 401
    slug = "not-signed-in"
    title = sentence("Sign in or send an API key")


class Forbidden(Problem):
    """The caller is known and may not do this."""

    status = 403
    slug = "forbidden"
    title = sentence("Not allowed")


class NotFound(Problem):
    """There is no such thing, or the caller may not know of it."""

    status = 404
    slug = "not-found"
    title = sentence("Not found")


class NotAcceptable(Problem):
    """None of the representations the caller accepts can be made."""

    status = 406
    slug = "not-acceptable"
    title = sentence("No acceptable representation")


class TooSlow(Problem):
    """The request's body came to a halt."""

    status = 408
    slug = "too-slow"
    title = sentence("The request came to a halt")
    retry_helps = True


class Conflict(Problem):
    """What was asked contradicts what has happened since."""

    status = 409
    slug = "conflict"
    title = sentence("The study has changed")


class UidContradiction(Conflict):
    """An instance's StudyInstanceUID is not the one in the URL."""

    slug = "uid-contradiction"
    title = sentence("The UID contradicts the address")
    dicom_failure_reason = 0xA900


class SharedStudyUid(Conflict):
    """Several patients' studies have the StudyInstanceUID; `studies` says how to ask for one of them."""

    slug = "shared-study-uid"
    title = sentence("Several patients' studies have this UID")


class TooLarge(Problem):
    """The upload or the image in it is larger than this site accepts."""

    status = 413
    slug = "too-large"
    title = sentence("Too large")
    dicom_failure_reason = 0xA700


class UnsupportedMediaType(Problem):
    """The body's media type is none this address takes."""

    status = 415
    slug = "unsupported-media-type"
    title = sentence("Unsupported media type")


class Unprocessable(Problem):
    """The request is well formed and one of its values is not allowed."""

    status = 422
    slug = "invalid-value"
    title = sentence("A value is not allowed")


class NotAnImage(Unprocessable):
    """The file is readable and holds no radiograph (a report, a web page, a PDF)."""

    slug = "not-an-image"
    title = sentence("The file is not an image")
    dicom_failure_reason = 0x0122


class Unreadable(Unprocessable):
    """The file claims to be DICOM, PNG or JPEG and its header cannot be read."""

    slug = "unreadable-file"
    title = sentence("The file cannot be read")
    dicom_failure_reason = 0xC000


class DecodeFailed(Unprocessable):
    """The header was read, the pixels cannot be decoded."""

    slug = "undecodable-pixels"
    title = sentence("The pixels cannot be decoded")
    dicom_failure_reason = 0xC000


class TooManyRequests(Problem):
    """The caller has asked too often; `retry_after` seconds from now it may work."""

    status = 429
    slug = "too-many-requests"
    title = sentence("Too many requests")
    retry_helps = True

    def __init__(self, detail: str, *, retry_after: int, **extensions: Any) -> None:
        super().__init__(detail, **extensions)
        self.retry_after = retry_after


class Unavailable(Problem):
    """A part of the service (database, storage) does not answer at the moment; nothing was accepted."""

    status = 503
    slug = "unavailable"
    title = sentence("The service cannot do this right now")
    retry_helps = True


def frames_of(error: BaseException | None) -> list[str]:
    """Where it happened, for the log. Messages of exceptions may quote what somebody sent, or the row of a
    patient, so they are left out.
    """
    frames = [] if error is None else traceback.extract_tb(error.__traceback__)
    return [
        f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames
    ][-8:]
