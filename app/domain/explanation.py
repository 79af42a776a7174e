"""Whether a reader may be shown the class activation map of the bundle that read a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNTESTED = (
    "The heat map is withheld: nobody has tested whether the map of the bundle that read this study shows "
    "what the network went by. Bundles trained with this version carry the test."
)
"""A map that was never tested is withheld like one that failed. Either looks like a reason, and a reader who
follows it searches in the wrong place; without it the probability and the radiograph are all still there.
"""


def why_map_withheld(explanations: object) -> str | None:
    """The sentence for the reader, or None where the map may be shown.

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
        ["The heat map is withheld: on held-out radiographs the bundle's map failed its test.", *reasons]
    )


def with_maps_allowed(findings: Mapping[str, Any], explanations: object) -> dict[str, Any]:
    """The findings of an image, each without its activation map unless that very finding's map was tested and
    passed.
    """
    tested = explanations.get("finding") if isinstance(explanations, Mapping) else None
    allowed = tested if why_map_withheld(explanations) is None else None
    return {
        name: {key: value for key, value in finding.items() if key != "activation_map" or name == allowed}
        for name, finding in findings.items()
    }
