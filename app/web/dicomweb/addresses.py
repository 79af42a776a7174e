"""Addresses of DICOMweb: the UIDs in them, whose study they mean, and the addresses in answers.

Two patients' studies may have one StudyInstanceUID (docs/decisions/0006). An address that would mix them is
answered with 409; `study_id`, the id that FirstRead gave a study, says which one is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

from fastapi import Request

from app.dicom.header import PLAUSIBLE_UID
from app.errors import BadRequest, SharedStudyUid
from app.queries.dicomweb import Place

STUDY_ID = "study_id"
STUDY_ID_PARAMETER: dict[str, Any] = {
    "name": STUDY_ID,
    "in": "query",
    "required": False,
    "description": "Which study is meant where several patients' studies have the StudyInstanceUID: "
    "its `id` in the REST interface.",
    "schema": {"type": "string", "format": "uuid"},
}


class Named(Protocol):
    """Whatever has the three UIDs of an instance."""

    @property
    def study_instance_uid(self) -> str: ...
    @property
    def series_instance_uid(self) -> str: ...
    @property
    def sop_instance_uid(self) -> str: ...


def place_in(
    request: Request, study: str | None = None, series: str | None = None, instance: str | None = None
) -> Place:
    """The place that the UIDs of the address and its `study_id` name; BadRequest where one is none."""
    return Place(
        study_id=_study_id(request),
        study=uid(study) if study is not None else None,
        series=uid(series) if series is not None else None,
        instance=uid(instance) if instance is not None else None,
    )


def _study_id(request: Request) -> UUID | None:
    text = request.query_params.get(STUDY_ID)
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest(
            f"{STUDY_ID} is the id that the REST interface shows of a study, a UUID; this is none."
        ) from None


def check_one_study(request: Request, study_ids: Sequence[UUID]) -> None:
    """Raises SharedStudyUid, which says where each of them is had, for the images of more than one study."""
    if len(study_ids) < 2:
        return
    here = request.url.path
    raise SharedStudyUid(
        f"{len(study_ids)} studies of different patients have this StudyInstanceUID; they are never mixed. "
        f"Ask for one of them with {STUDY_ID}, as `studies` lists them. An administrator is told.",
        studies=[
            {
                "id": str(study_id),
                "url": f"/api/v1/studies/{study_id}",
                "retrieve": f"{here}?{STUDY_ID}={study_id}",
            }
            for study_id in study_ids
        ],
    )


def address_of(instance: Named, base: str, resource: str = "", *, study_id: UUID | None = None) -> str:
    """Where the instance, or a resource of it, is retrieved; with `study_id` where its UID is shared."""
    series = f"{base}/studies/{instance.study_instance_uid}/series/{instance.series_instance_uid}"
    return of_study(f"{series}/instances/{instance.sop_instance_uid}{resource}", study_id)


def of_study(address: str, study_id: UUID | None) -> str:
    """The address, with the study it means where that needs to be said."""
    return address if study_id is None else f"{address}?{STUDY_ID}={study_id}"


def uid(text: str) -> str:
    """The UID of an address, such as intake takes; raises BadRequest for what is none."""
    if not PLAUSIBLE_UID.fullmatch(text):
        raise BadRequest("The address holds a UID that is none: digits and dots, at most 64.")
    return text
