"""What the viewer is told of each image of a study."""

from __future__ import annotations

from typing import Any

from app.dicom.projection import View, view_of, view_of_orientation
from app.language import N_, _
from app.queries.studies import ImageShown, StudyShown
from app.queries.why_here import NOT_READ
from app.told import told
from app.web.pages.words import lasting, say_age, say_date, say_name, say_sex, say_time
from app.web.spacing import is_at_detector, spacing_of

_LATERALITY = {"R": N_("right"), "L": N_("left"), "B": N_("both"), "U": N_("unpaired")}


def pictures_of(study: StudyShown) -> list[dict[str, Any]]:
    """One JSON object per image, as `StudyImage` in app/web/viewer/src/source.ts declares it."""
    reading = study.reading
    on_request = reading is not None and bool(reading.findings) and reading.occlusion_map_withheld is None
    return [
        _picture(image, number, on_request=on_request) for number, image in enumerate(study.images, start=1)
    ]


def plain_pictures_of(study: StudyShown) -> list[dict[str, Any]]:
    """The same without what any network said: how a prior is shown beside the study that is read.

    That an image was superseded is no network's word, and stays.
    """
    return [
        _picture(image, number, on_request=False)
        | {"heat": [], "notRead": state_of(image)[1] if image.superseded else None}
        for number, image in enumerate(study.images, start=1)
    ]


def state_of(image: ImageShown) -> tuple[str, str | None]:
    """A word for the strip of images, and the sentence why the network has not read this one."""
    if image.superseded:
        return _("superseded"), _("Superseded by a later version of its header; kept, not read.")
    if image.outcome == "screened":
        return _("read by the network"), None
    if image.outcome in ("withheld", "failed"):
        return _("not read"), told(f"{NOT_READ} {image.reason or ''}".strip())
    return _("not yet read"), _("Not yet read by the network.")


def _picture(image: ImageShown, number: int, *, on_request: bool) -> dict[str, Any]:
    address = f"/api/v1/images/{image.image_id}"
    state, not_read = state_of(image)
    return {
        "id": str(image.image_id),
        "name": _name(image, number),
        "state": state,
        "preview": f"{address}/preview",
        "info": f"{address}/pixels/info",
        "pixels": f"{address}/pixels",
        "rows": image.rows,
        "columns": image.columns,
        "spacing": spacing_of(image.header),
        "atDetector": is_at_detector(image.header),
        "direction": _direction(image),
        "overlay": _overlay(image),
        "heat": _heat(image),
        "heatFrom": f"{address}/occlusion-map" if on_request and image.outcome == "screened" else None,
        "notRead": not_read,
        "superseded": image.superseded,
    }


def _heat(image: ImageShown) -> list[dict[str, Any]]:
    """The maps that are there already: the activation map where it may be shown, else an occlusion map that
    was made before.
    """
    return [
        {"finding": name, "kind": kind, "map": finding[kind]}
        for name, finding in lasting(image.findings).items()
        for kind in [next((kind for kind in ("activation_map", "occlusion_map") if finding.get(kind)), None)]
        if kind is not None
    ]


def _name(image: ImageShown, number: int) -> str:
    return f"{number}: {image.view_position or image.file_name or _('view not stated')}"


def _overlay(image: ImageShown) -> dict[str, list[str]]:
    """The corners, from the image's own header: the reader must see what the picture says of itself."""
    header = image.header
    sex, age = say_sex(header.get("patient_sex")), say_age(header.get("age_years"))
    born = say_date(header.get("patient_birth_date"))
    born = _("born %(day)s", day=born) if born else ""
    patient = " · ".join(part for part in (age or _("age unknown"), sex, born) if part)
    day = say_date(header.get("study_date"))
    laterality = _(_LATERALITY.get((header.get("image_laterality") or "").upper(), ""))
    top_left = [say_name(header.get("patient_name")), header.get("patient_id") or _("no patient ID"), patient]
    top_right = [
        header.get("institution_name") or "",
        header.get("study_description") or header.get("series_description") or "",
        " ".join(part for part in (day, say_time(header.get("study_time"))) if part) or _("date not stated"),
        header.get("station_name") or "",
    ]
    view = image.view_position or _("view not stated")
    bottom_left = [
        view if not laterality else f"{view} · {laterality}",
        " · ".join(part for part in (header.get("modality") or "", _spacing(header)) if part),
        f"{image.columns} × {image.rows}" if image.columns and image.rows else "",
    ]
    return {
        "topLeft": top_left,
        "topRight": [line for line in top_right if line],
        "bottomLeft": [line for line in bottom_left if line],
    }


def _spacing(header: dict[str, Any]) -> str:
    spacing = spacing_of(header)
    if not spacing:
        return ""
    rows, columns = spacing
    millimetres = f"{rows:g}" if rows == columns else f"{rows:g} × {columns:g}"
    if is_at_detector(header):
        return _("%(millimetres)s mm/pixel at the detector", millimetres=millimetres)
    return _("%(millimetres)s mm/pixel", millimetres=millimetres)


def _direction(image: ImageShown) -> str | None:
    """From where the patient is seen, so that like stands beside like; None where the header is silent."""
    header = image.header
    view = view_of(image.view_position)
    if view is View.UNSTATED:
        view = view_of_orientation(header.get("patient_orientation"))
    if view is View.UNSTATED:
        view = view_of(header.get("series_description"), free_text=True)
    if view in (View.AP, View.PA, View.FRONTAL):
        return "frontal"
    return "lateral" if view is View.LATERAL else None
