"""STOW-RS: store instances (PS3.18 10.5)."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.commands.intake import Admission, GivenMetadata
from app.dicom.stow import FailedInstance, StoredInstance, stow_answer
from app.domain.roles import Caller, Permission
from app.errors import BadRequest, UnsupportedMediaType
from app.web.auth import GuardedRoute, require
from app.web.dicomweb.addresses import address_of, of_study, uid
from app.web.dicomweb.datasets import base_url, one_dataset
from app.web.dicomweb.negotiation import DICOM, DICOM_JSON, DICOM_XML, dataset_form
from app.web.intake import FileOutcome, admit_all
from app.web.openapi import problems_of
from app.web.parts import parts_of
from app.web.upload import Received, boundary_in, content_type_of, receiving_file, receiving_parts

router = APIRouter(prefix="/dicomweb", route_class=GuardedRoute, tags=["STOW-RS"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/related": {
                "schema": {"type": "string", "format": "binary"},
                "encoding": {},
            },
            DICOM: {"schema": {"type": "string", "format": "binary"}},
        },
    },
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "All instances are stored.", "content": {DICOM_JSON: {}, DICOM_XML: {}}},
    202: {"description": "Some instances are stored.", "content": {DICOM_JSON: {}, DICOM_XML: {}}},
    409: {"description": "No instance is stored.", "content": {DICOM_JSON: {}, DICOM_XML: {}}},
}
_ROUTE: dict[str, Any] = {
    "openapi_extra": _BODY,
    "response_class": Response,
    "responses": {**problems_of(401, 403, 406, 413, 415), **_ANSWERS},
}
_Sender = Annotated[Caller, require(Permission.ADMIT)]


@router.post("/studies", summary="Store instances", **_ROUTE)
async def store(request: Request, caller: _Sender) -> Response:
    """Answers once every good instance is fsynced and committed; one bad instance is refused alone."""
    return await _store(request, caller, None)


@router.post("/studies/{study_instance_uid}", summary="Store instances of one study", **_ROUTE)
async def store_in_study(request: Request, study_instance_uid: str, caller: _Sender) -> Response:
    """As for all studies; an instance of another study is refused with 0xA900."""
    return await _store(request, caller, uid(study_instance_uid))


async def _store(request: Request, caller: Caller, study_instance_uid: str | None) -> Response:
    form, media_type = dataset_form(request)
    turns = parts_of(request).turns
    async with turns.place(request), _receiving(request) as received:
        if not received.files:
            raise BadRequest("The body holds no part. Send at least one instance.")
        work = partial(
            admit_all,
            request,
            received,
            given=GivenMetadata(),
            by=caller.actor,
            via="stow",
            study_instance_uid=study_instance_uid,
            only=DICOM,
        )
        outcomes = await turns.run(work)
    model = _answer(outcomes, base=base_url(request))
    return one_dataset(model, form=form, media_type=media_type, status=_status(outcomes))


def _receiving(request: Request) -> AbstractAsyncContextManager[Received]:
    blobs = parts_of(request).blobs
    kind, options = content_type_of(request)
    if kind == "multipart/related":
        of = options.get(b"type", DICOM.encode()).decode("latin-1").lower()
        if of == DICOM:
            return receiving_parts(request, blobs, boundary=boundary_in(options), form=False)
    elif kind == DICOM:
        return receiving_file(request, blobs)
    raise UnsupportedMediaType('Send multipart/related; type="application/dicom", or one application/dicom.')


def _status(outcomes: list[FileOutcome]) -> int:
    refused = sum(outcome.problem is not None for outcome in outcomes)
    if refused == 0:
        return 200
    return 409 if refused == len(outcomes) else 202


def _shared(admissions: list[Admission]) -> set[str]:
    """Those of the StudyInstanceUIDs that more than one patient's study has, within this request too."""
    studies = {(admission.study_instance_uid, admission.study_id) for admission in admissions}
    times = Counter(study_uid for study_uid, _ in studies)
    return {a.study_instance_uid for a in admissions if a.uid_is_shared or times[a.study_instance_uid] > 1}


def _answer(outcomes: list[FileOutcome], *, base: str) -> dict[str, Any]:
    stored, failed, studies = [], [], set()
    shared = _shared([outcome.admission for outcome in outcomes if outcome.admission is not None])
    for outcome in outcomes:
        if outcome.admission is not None:
            admission = outcome.admission
            meant = admission.study_id if admission.study_instance_uid in shared else None
            studies.add(of_study(f"{base}/studies/{admission.study_instance_uid}", meant))
            stored.append(
                StoredInstance(
                    sop_class_uid=admission.sop_class_uid,
                    sop_instance_uid=admission.sop_instance_uid,
                    retrieve_url=address_of(admission, base, study_id=meant),
                ),
            )
        elif outcome.problem is not None:
            reference = outcome.reference
            failed.append(
                FailedInstance(
                    failure_reason=outcome.problem.dicom_failure_reason,
                    sop_class_uid=reference.sop_class_uid if reference else None,
                    sop_instance_uid=reference.sop_instance_uid if reference else None,
                ),
            )
    return stow_answer(
        retrieve_url=studies.pop() if len(studies) == 1 else None, stored=stored, failed=failed
    )
