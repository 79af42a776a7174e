"""The network that reads: what it is for, what it can do, and what it cannot."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.roles import Caller, Permission
from app.queries.bundles import BundleShown, bundles, in_shadow, proposed
from app.queries.candidate import way_back
from app.queries.site_figures import ADJUDICATED_NEEDED, NEWEST, adjudicated, site_figures
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.render import page

router = APIRouter(route_class=GuardedRoute)


@router.get("/models")
def models(request: Request, caller: Annotated[Caller, require(Permission.READ_MODELS)]) -> Response:
    """The active bundle with its intended use, thresholds and figures; and the others."""
    with transaction() as session:
        known = bundles(session)
        active = next((bundle for bundle in known if bundle.active), None)
        ranking = [finding["name"] for finding in _findings(active) if not finding["research"]]
        settled = adjudicated(session, findings=ranking)
        at_site = site_figures(session, bundle_sha256=active.sha256, findings=ranking) if active else ()
        back = way_back(session)
        waiting, shadowed = proposed(session), in_shadow(session)
    return page(
        request,
        "models.html",
        caller=caller,
        active=active,
        use_of_it=_intended_use(active),
        findings=_findings(active),
        figures=_figures(active),
        bounds=_bounds(active),
        at_site=at_site,
        adjudicated_needed=ADJUDICATED_NEEDED,
        adjudicated=settled,
        newest=NEWEST,
        others=[bundle for bundle in known if not bundle.active],
        way_back=back,
        proposed=waiting,
        in_shadow=shadowed,
    )


def _intended_use(bundle: BundleShown | None) -> dict[str, Any]:
    """Of any manifest, also one that lacks the part."""
    found = bundle.manifest.get("intended_use") if bundle else None
    return found if isinstance(found, dict) else {}


def _findings(bundle: BundleShown | None) -> list[dict[str, Any]]:
    """Name, code, whether research, and thresholds of each finding."""
    if bundle is None or not isinstance(bundle.manifest.get("findings"), list):
        return []
    thresholds = bundle.manifest.get("thresholds") or {}
    return [
        {
            "name": str(finding.get("name", "")),
            "code": " ".join(str(finding.get(part) or "") for part in ("code_scheme", "code_value")).strip(),
            "research": bool(finding.get("research")),
            "thresholds": thresholds.get(finding.get("name")) or {},
        }
        for finding in bundle.manifest["findings"]
        if isinstance(finding, dict)
    ]


_BOUND = (
    "rule_in",
    "rule_out",
    "confidence",
    "rule_in_false_positive_bound",
    "rule_out_miss_bound",
    "patients_with",
    "patients_without",
)


def _bounds(bundle: BundleShown | None) -> list[tuple[str, dict[str, Any]]]:
    """Of each finding that ranks the worklist, what its lanes promise; none of a manifest that says less."""
    return [
        (finding["name"], finding["thresholds"])
        for finding in _findings(bundle)
        if not finding["research"] and all(part in finding["thresholds"] for part in _BOUND)
    ]


def _figures(bundle: BundleShown | None) -> list[tuple[str, str, dict[str, float]]]:
    """Finding, on which images, and the figures the bundle states of itself."""
    provenance = bundle.manifest.get("provenance") if bundle else None
    held_out = provenance.get("held_out") if isinstance(provenance, dict) else None
    if not isinstance(held_out, dict):
        return []
    return [
        (str(finding), str(images), figures)
        for finding, sets in held_out.items()
        if isinstance(sets, dict)
        for images, figures in sets.items()
        if isinstance(figures, dict)
    ]
