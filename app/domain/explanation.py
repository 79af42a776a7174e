"""Whether a reader may be shown the maps of the bundle that read a study: each only if it passed its test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.sentence import sentence

UNTESTED = sentence(
    "The heat map is withheld: nobody has tested whether the map of the bundle that read this study shows "
    "what the network went by. Bundles trained with this version carry the test."
)
"""A map that was never tested is withheld like one that failed. Either looks like a reason, and a reader who
follows it searches in the wrong place; without it the probability and the radiograph are all still there.
"""

OCCLUSION_UNTESTED = sentence(
    "The occlusion map is withheld: nobody has tested the one of the bundle that read this study."
)


def why_map_withheld(explanations: object) -> str | None:
    """The sentence for the reader, or None where the class activation map may be shown.

    `explanations` is what the bundle's manifest says under that name: ``passes``, and the sentences of what
    ``failed``; None or empty in bundles that were never tested.
    """
    if not isinstance(explanations, Mapping) or "passes" not in explanations:
        return UNTESTED
    if explanations["passes"] is True:
        return None
    failed = explanations.get("failed")
    reasons = [str(reason) for reason in failed] if isinstance(failed, list) else []
    return " ".join(
        [
            sentence("The heat map is withheld: on held-out radiographs the bundle's map failed its test."),
            *reasons,
        ]
    )


def why_occlusion_withheld(explanations: object) -> str | None:
    """The same of the occlusion map, which is made when a reader asks for it."""
    tested = explanations.get("occlusion_map") if isinstance(explanations, Mapping) else None
    if not isinstance(tested, Mapping) or "passes" not in tested:
        return OCCLUSION_UNTESTED
    if tested["passes"] is True:
        return None
    failed = tested.get("failed")
    reasons = [str(reason) for reason in failed] if isinstance(failed, list) else []
    return " ".join(
        [
            sentence("The occlusion map is withheld: on held-out radiographs the bundle's failed its test."),
            *reasons,
        ]
    )


def why_no_heat_map(explanations: object) -> str | None:
    """The sentence for the reader where neither map may be shown; None where one may."""
    withheld, occlusion = why_map_withheld(explanations), why_occlusion_withheld(explanations)
    if withheld is None or occlusion is None:
        return None
    return withheld if occlusion == OCCLUSION_UNTESTED else f"{withheld} {occlusion}"


def tested_finding(explanations: object) -> str | None:
    """The finding whose maps were tested; None where none was."""
    named = explanations.get("finding") if isinstance(explanations, Mapping) else None
    return named if isinstance(named, str) else None


def with_maps_allowed(
    findings: Mapping[str, Any], explanations: object, *, occlusion: object = None
) -> dict[str, Any]:
    """The findings of an image, each without its activation map unless that very finding's map was tested and
    passed. `occlusion`, if it may be shown, is added to the finding that was tested.
    """
    tested = tested_finding(explanations)
    allowed = tested if why_map_withheld(explanations) is None else None
    shown = {
        name: {key: value for key, value in finding.items() if key != "activation_map" or name == allowed}
        for name, finding in findings.items()
    }
    if occlusion is not None and tested in shown and why_occlusion_withheld(explanations) is None:
        shown[tested]["occlusion_map"] = occlusion
    return shown
