"""A bundle for use elsewhere: which formats there are, what was made, and the files."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from app import queue
from app.commands import exporting
from app.domain.roles import Caller, Permission
from app.language import N_
from app.queries.exports import exports_of
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Posted
from app.web.pages.render import page, see
from app.web.parts import parts_of

router = APIRouter(prefix="/models/{sha256}/export", route_class=GuardedRoute)
_Trainer = Annotated[Caller, require(Permission.TRAIN)]
_FORMATS = (
    ("coreml", "Core ML", N_("For apps on iPhone, iPad and Mac, as a classifier.")),
    ("onnx", "ONNX", N_("For onnxruntime, on nearly any machine and in nearly any language.")),
    ("openvino", "OpenVINO IR", N_("For OpenVINO, fastest on processors by Intel; what this service runs.")),
    ("torch", "PyTorch", N_("For PyTorch, as an exported program without any pickle.")),
)


@router.get("")
def export(request: Request, sha256: str, caller: _Trainer) -> Response:
    """The formats, and what was made."""
    with transaction() as session:
        found = exports_of(session, sha256=sha256)
    return page(
        request,
        "export.html",
        caller=caller,
        bundle=found.bundle,
        exports=found.exports,
        formats=_FORMATS,
        names={name: shown for name, shown, _ in _FORMATS},
        job=next((one.job for one in found.exports if one.job and not one.job.is_over), None),
    )


@router.post("")
def ask(sha256: str, form: Posted, caller: _Trainer) -> Response:
    """The training worker makes it."""
    with transaction() as session:
        _, job_id = exporting.ask(session, sha256=sha256, format=form.text("format"), by=caller.actor)
    queue.ring(queue.LEARN, str(job_id))
    return see(f"/models/{sha256}/export")


@router.get("/{export_id}")
def fetch(request: Request, sha256: str, export_id: UUID, caller: _Trainer) -> Response:
    """The zip. Taking it is on record."""
    with transaction() as session:
        zipped, name = exporting.fetch(session, sha256=sha256, export_id=export_id, by=caller.actor)
    return FileResponse(parts_of(request).blobs.path(zipped), media_type="application/zip", filename=name)
