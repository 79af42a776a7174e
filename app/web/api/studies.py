"""Send radiographs, look studies up."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from app import queue
from app.commands import audit, screening, viewing
from app.commands.intake import GivenMetadata
from app.domain.roles import Caller, Permission
from app.errors import BadRequest, Conflict, Problem, Unprocessable, UnsupportedMediaType
from app.queries import studies as queries
from app.records.engine import transaction
from app.told import told
from app.web.api.given import given_in
from app.web.api.shown import Studies, Study, study_of, study_url
from app.web.auth import GuardedRoute, require
from app.web.intake import FileOutcome, admit_all
from app.web.openapi import ProblemDocument, files_of, form_of, problems_of
from app.web.parts import parts_of
from app.web.problems import document
from app.web.upload import FORM, boundary_in, content_type_of, receiving_parts

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute)

_FORM = form_of(
    "files",
    files=files_of("DICOM, PNG or JPEG; a DICOM file speaks for itself."),
    patient_id={"type": "string", "maxLength": 64},
    patient_name={"type": "string", "maxLength": 200},
    accession_number={"type": "string", "maxLength": 64},
    age={"type": "string", "description": "3, 3Y, 003Y, 18M, 6W, 5D"},
    sex={"type": "string", "enum": ["M", "F", "O"]},
    view={"type": "string", "pattern": "^[A-Z0-9_ ]{1,16}$"},
    priority={"type": "string", "enum": ["routine", "stat"]},
    purpose={"type": "string", "enum": ["current", "prior"]},
)


class AdmittedStudy(BaseModel):
    """A study that got an image."""

    id: UUID
    url: str
    study_instance_uid: str


class FileAnswer(BaseModel):
    """What became of one file."""

    name: str | None
    outcome: str = Field(description="admitted, duplicate or refused")
    study: UUID | None = None
    image: UUID | None = None
    sha256: str | None = None
    warnings: list[str] = []
    problem: ProblemDocument | None = None


class Admitted(BaseModel):
    """The files are safe: they are on the disk and their studies on the worklist."""

    id: UUID = Field(description="The first study.")
    url: str
    studies: list[AdmittedStudy]
    files: list[FileAnswer]


@router.post(
    "/studies",
    status_code=202,
    tags=["studies"],
    summary="Send one file or many",
    openapi_extra=_FORM,
    responses=problems_of(401, 403, 409, 413, 415, 429),
)
async def post_studies(
    request: Request,
    caller: Annotated[Caller, require(Permission.ADMIT)],
    via: Annotated[str, Query(pattern="^(rest|browser)$", include_in_schema=False)] = "rest",
) -> Admitted:
    """Answers once every good file is fsynced and committed; one bad file refuses only itself.

    The same bytes again create nothing and count as `duplicate`. Where all files are refused the answer is a
    problem: that of the file if it was one, and otherwise a 422 with the problem of each.
    """
    kind, options = content_type_of(request)
    if kind != FORM:
        raise UnsupportedMediaType("Send multipart/form-data with the radiographs in the field `files`.")
    boundary = boundary_in(options)
    parts = parts_of(request)
    turns = parts.turns
    async with (
        turns.place(request),
        receiving_parts(request, parts.blobs, boundary=boundary, form=True) as received,
    ):
        given: GivenMetadata = given_in(received.fields())
        if not received.files:
            raise Unprocessable("There is no file in the field `files`. Send at least one radiograph.")
        outcomes = await turns.run(
            partial(admit_all, request, received, given=given, by=caller.actor, via=via)
        )
    return _answer(outcomes)


def _answer(outcomes: list[FileOutcome]) -> Admitted:
    files = [_file_answer(outcome) for outcome in outcomes]
    admissions = [outcome.admission for outcome in outcomes if outcome.admission is not None]
    if not admissions:
        raise _all_refused(outcomes, files)
    studies = {
        admission.study_id: AdmittedStudy(
            id=admission.study_id,
            url=study_url(admission.study_id),
            study_instance_uid=admission.study_instance_uid,
        )
        for admission in admissions
    }
    first = next(iter(studies.values()))
    return Admitted(id=first.id, url=first.url, studies=list(studies.values()), files=files)


def _all_refused(outcomes: list[FileOutcome], files: list[FileAnswer]) -> Problem:
    problem = outcomes[0].problem
    if len(outcomes) > 1 or problem is None:
        problem = Unprocessable(
            "None of the files was admitted; `files` says why, one by one.",
            files=[file.model_dump(mode="json", exclude_none=True) for file in files],
        )
    return problem


def _file_answer(outcome: FileOutcome) -> FileAnswer:
    admission = outcome.admission
    return FileAnswer(
        name=outcome.file_name,
        outcome=outcome.outcome,
        study=admission.study_id if admission else None,
        image=admission.image_id if admission else None,
        sha256=outcome.sha256,
        warnings=[told(warning) for warning in admission.warnings] if admission else [],
        problem=ProblemDocument(**document(outcome.problem)) if outcome.problem else None,
    )


@router.get(
    "/studies/{study_id}", tags=["studies"], summary="One study", responses=problems_of(401, 403, 404)
)
def get_study(study_id: UUID, caller: Annotated[Caller, require(Permission.READ)]) -> Study:
    """The study with its reading, images, reviews and priors. Looking at it is on record."""
    with transaction() as session:
        shown = queries.show(session, study_id=study_id, to=caller.actor)
        viewing.view(session, study_id=study_id, by=caller.actor, via="api")
    return study_of(shown)


@router.get(
    "/studies",
    tags=["studies"],
    summary="Find studies by UID or accession number",
    responses=problems_of(401, 403),
)
def find_studies(
    caller: Annotated[Caller, require(Permission.READ)],
    study_instance_uid: Annotated[str | None, Query(min_length=1, max_length=64)] = None,
    accession_number: Annotated[str | None, Query(min_length=1, max_length=64)] = None,
) -> Studies:
    """All studies with that UID and that accession number; at least one of the two is needed. That somebody
    searched is on record, and so is the view of each study found.
    """
    if study_instance_uid is None and accession_number is None:
        raise BadRequest("Say which studies: send study_instance_uid or accession_number.")
    with transaction() as session:
        ids = queries.find(session, study_instance_uid=study_instance_uid, accession_number=accession_number)
        shown = [queries.show(session, study_id=study_id, to=caller.actor) for study_id in ids]
        audit.record(session, action="studies.searched", by=caller.actor, level="api", found=len(ids))
        for study_id in ids:
            viewing.view(session, study_id=study_id, by=caller.actor, via="api")
    return Studies(studies=[study_of(study) for study in shown])


@router.post(
    "/studies/{study_id}/retry",
    status_code=202,
    tags=["studies"],
    summary="Screen a failed or withheld study again",
    responses=problems_of(401, 403, 404, 409),
)
def retry(
    study_id: UUID, caller: Annotated[Caller, require(Permission.REVIEW, Permission.READ_OPERATIONS)]
) -> Response:
    """The study is screened again from the start."""
    with transaction() as session:
        if not screening.retry(session, study_id=study_id, by=caller.actor):
            queries.show(session, study_id=study_id, to=caller.actor)
            raise Conflict("Only a failed or withheld study can be screened again.")
        audit.record(session, action="study.retry-asked", by=caller.actor, study_id=study_id)
    queue.ring(queue.SCREEN, str(study_id))
    return Response(status_code=202)
