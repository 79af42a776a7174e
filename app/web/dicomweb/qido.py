"""QIDO-RS: search for studies, series and instances (PS3.18 10.6)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.commands import audit
from app.dicom.qido import Level, Query, parse_query, query_result
from app.domain.roles import Caller, Permission
from app.errors import BadRequest
from app.queries import dicomweb
from app.queries.dicomweb import Place, StoredInstance, StoredSeries, StoredStudy
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.dicomweb.addresses import (
    STUDY_ID,
    STUDY_ID_PARAMETER,
    address_of,
    check_one_study,
    of_study,
    place_in,
)
from app.web.dicomweb.datasets import base_url, dataset_list
from app.web.dicomweb.negotiation import DICOM_JSON, DICOM_XML, dataset_form
from app.web.openapi import problems_of

router = APIRouter(prefix="/dicomweb", route_class=GuardedRoute, tags=["QIDO-RS"])

_MOST_PARAMETERS = 100
_FUZZY = '299 FirstRead "The fuzzymatching parameter is not supported. Only literal matching was performed."'
_MORE = '299 FirstRead "There are more results. Ask for them with offset."'


def _parameter(name: str, description: str, kind: str = "string") -> dict[str, Any]:
    schema: dict[str, Any] = {"type": kind} | ({"minimum": 0} if kind == "integer" else {})
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


_PARAMETERS = [
    _parameter("PatientID", "Exact, or with * and ?. Any attribute may be matched, by keyword or tag."),
    _parameter("PatientName", "With * and ?, in any case."),
    _parameter("StudyDate", "20261122, or a range: 20261101-20261130."),
    _parameter("AccessionNumber", "Exact, or with * and ?."),
    _parameter("ModalitiesInStudy", "One modality."),
    _parameter("StudyInstanceUID", "One UID or several, separated by commas."),
    _parameter("includefield", "Keywords or tags, separated by commas, or all."),
    _parameter("limit", "At most so many; never more than 1,000.", "integer"),
    _parameter("offset", "Without the first so many.", "integer"),
    _parameter("fuzzymatching", "Not supported; literal matching is performed.", "boolean"),
    STUDY_ID_PARAMETER,
]
_ROUTE: dict[str, Any] = {
    "response_class": Response,
    "openapi_extra": {"parameters": _PARAMETERS},
    "responses": {
        200: {"description": "The matches, possibly none.", "content": {DICOM_JSON: {}, DICOM_XML: {}}},
        **problems_of(401, 403, 406, 409),
    },
}
_Reader = Annotated[Caller, require(Permission.READ)]


def _query(request: Request) -> Query:
    parameters = [pair for pair in request.query_params.multi_items() if pair[0] != STUDY_ID]
    if len(parameters) > _MOST_PARAMETERS:
        raise BadRequest(f"A search has at most {_MOST_PARAMETERS} parameters.")
    return parse_query(parameters)


_Asked = Annotated[Query, Depends(_query)]


@router.get("/studies", summary="Search for studies", **_ROUTE)
def search_studies(request: Request, caller: _Reader, query: _Asked) -> Response:
    """The studies that match, the newest first."""
    form = dataset_form(request)
    with transaction() as session:
        found, more = dicomweb.search_studies(session, query, place_in(request))
        _record(session, caller, "study", len(found))
    base = base_url(request)
    models = [
        query_result(study.attributes, ("study",), computed=_of_study(study, base), include=query.include)
        for study in found
    ]
    return dataset_list(models, form=form[0], media_type=form[1], headers=_warnings(query, more))


@router.get("/series", summary="Search for series in all studies", **_ROUTE)
def search_all_series(request: Request, caller: _Reader, query: _Asked) -> Response:
    """The series that match, with what a search says of their studies."""
    return _series(request, caller, query, place_in(request), levels=("study", "series"))


@router.get("/studies/{study}/series", summary="Search for series in a study", **_ROUTE)
def search_series(request: Request, study: str, caller: _Reader, query: _Asked) -> Response:
    """The series of the study that match."""
    return _series(request, caller, query, place_in(request, study), levels=("series",))


@router.get("/instances", summary="Search for instances in all studies", **_ROUTE)
def search_all_instances(request: Request, caller: _Reader, query: _Asked) -> Response:
    """The instances that match, with what a search says of their studies and series."""
    return _instances(request, caller, query, place_in(request), levels=("study", "series", "instance"))


@router.get("/studies/{study}/instances", summary="Search for instances in a study", **_ROUTE)
def search_instances_of_study(request: Request, study: str, caller: _Reader, query: _Asked) -> Response:
    """The instances of the study that match."""
    return _instances(request, caller, query, place_in(request, study), levels=("series", "instance"))


@router.get(
    "/studies/{study}/series/{series}/instances", summary="Search for instances in a series", **_ROUTE
)
def search_instances(request: Request, study: str, series: str, caller: _Reader, query: _Asked) -> Response:
    """The instances of the series that match."""
    place = place_in(request, study, series)
    return _instances(request, caller, query, place, levels=("instance",))


def _series(
    request: Request, caller: Caller, query: Query, place: Place, *, levels: tuple[Level, ...]
) -> Response:
    form = dataset_form(request)
    with transaction() as session:
        _check(request, session, query, place)
        found, more = dicomweb.search_series(session, query, place)
        _record(session, caller, "series", len(found))
    base = base_url(request)
    models = [
        query_result(
            series.attributes,
            levels,
            computed=(_of_study(series.study, base) if "study" in levels else {}) | _of_series(series, base),
            include=query.include,
        )
        for series in found
    ]
    return dataset_list(models, form=form[0], media_type=form[1], headers=_warnings(query, more))


def _instances(
    request: Request, caller: Caller, query: Query, place: Place, *, levels: tuple[Level, ...]
) -> Response:
    form = dataset_form(request)
    with transaction() as session:
        _check(request, session, query, place)
        found, more = dicomweb.search_instances(session, query, place)
        _record(session, caller, "instance", len(found))
    base = base_url(request)
    models = [
        query_result(
            instance.attributes, levels, computed=_of_instance(instance, base), include=query.include
        )
        for instance in found
    ]
    return dataset_list(models, form=form[0], media_type=form[1], headers=_warnings(query, more))


def _check(request: Request, session: Any, query: Query, place: Place) -> None:
    """Below a study the answer does not say whose series it lists, so it may be about one study only."""
    if place.study is not None:
        check_one_study(request, dicomweb.studies_in(session, query, place))


def _of_study(study: StoredStudy, base: str) -> dict[str, Any]:
    return {
        "00080056": "ONLINE",
        "00080061": list(study.modalities),
        "00081190": of_study(
            f"{base}/studies/{study.study_instance_uid}", study.study_id if study.uid_is_shared else None
        ),
        "0020000D": study.study_instance_uid,
        "00201206": study.series,
        "00201208": study.instances,
    }


def _of_series(series: StoredSeries, base: str) -> dict[str, Any]:
    address = f"{base}/studies/{series.study_instance_uid}/series/{series.series_instance_uid}"
    return {
        "00080056": "ONLINE",
        "00081190": of_study(address, series.study.study_id if series.study.uid_is_shared else None),
        "0020000D": series.study_instance_uid,
        "0020000E": series.series_instance_uid,
        "00201209": series.instances,
    }


def _of_instance(instance: StoredInstance, base: str) -> dict[str, Any]:
    return {
        "00080016": instance.sop_class_uid,
        "00080018": instance.sop_instance_uid,
        "00080056": "ONLINE",
        "00081190": address_of(
            instance, base, study_id=instance.study_id if instance.uid_is_shared else None
        ),
        "00083002": instance.transfer_syntax_uid,
        "0020000D": instance.study_instance_uid,
        "0020000E": instance.series_instance_uid,
    }


def _record(session: Any, caller: Caller, level: str, count: int) -> None:
    audit.record(session, action="studies.searched", by=caller.actor, level=level, found=count)


def _warnings(query: Query, more: bool) -> dict[str, str]:
    warnings = ([_FUZZY] if query.fuzzy else []) + ([_MORE] if more else [])
    return {"Warning": ", ".join(warnings)} if warnings else {}
