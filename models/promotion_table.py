"""The gate as a table for people; docs/promotion.md holds it."""

from __future__ import annotations

from models.detail import LEAST_PATIENTS
from models.promotion_limits import FLOORS, MARGINS, NEW_FLOORS


def table() -> str:
    """The gate as Markdown, for people."""
    own = "95% interval, lower end"
    whole = "95% interval of the difference, lower end"
    rows = [
        ("labels of the test", "imported, adjudicated or of blind reads", "all"),
        (
            "use of the locked test",
            "how often it was asked",
            "the site's limit (`FIRSTREAD_LOCKED_TEST_USES`)",
        ),
        ("patients", "with the finding, and without it", f"{LEAST_PATIENTS} each"),
        ("AUC", whole, f"-{MARGINS['auc']} or above"),
        ("sensitivity at the operating point", whole, f"-{MARGINS['sensitivity']} or above"),
        ("specificity at the operating point", whole, f"-{MARGINS['specificity']} or above"),
        ("AUC under acquisition changes, each grade", whole, f"-{MARGINS['stress']} or above"),
        ("AUC of each subgroup", whole, f"-{MARGINS['subgroup auc']} or above"),
        ("sensitivity of each subgroup", whole, f"-{MARGINS['subgroup sensitivity']} or above"),
        ("specificity of each subgroup", whole, f"-{MARGINS['subgroup specificity']} or above"),
        ("AUC of each subgroup, the candidate's own", own, f"{FLOORS['auc']} or above"),
        ("sensitivity of each subgroup, the candidate's own", own, f"{FLOORS['sensitivity']} or above"),
        (
            "AUC, sensitivity, specificity of a new finding, of the whole and of each subgroup",
            own,
            f"{NEW_FLOORS['auc']}, {NEW_FLOORS['sensitivity']}, {NEW_FLOORS['specificity']} or above",
        ),
        ("AUC of a new finding under acquisition changes, each grade", own, f"{NEW_FLOORS['auc']} or above"),
        ("calibration at even odds", "mean error", f"{MARGINS['calibration error']} at most"),
        (
            "retention",
            "of what the active bundle called right, called wrong",
            f"{MARGINS['retention']:.0%} at most",
        ),
        ("withheld", "of the images, more than the active bundle", f"{MARGINS['withheld']:.0%} at most"),
        (
            "withheld of each subgroup",
            f"the same of its images, where {LEAST_PATIENTS} patients of each class were asked of",
            f"{MARGINS['subgroup withheld']:.0%} at most",
        ),
        (
            "withheld under acquisition changes, each grade",
            "the same",
            f"{MARGINS['withheld when changed']:.0%} at most",
        ),
        ("intended use", "ages, modalities, parts of the body, views", "the active bundle's"),
        ("findings", "all but those for research", "every one that the active bundle looks for"),
        ("lanes", "rule-in and rule-out", "every one that the active bundle has"),
        ("gate for pixels", "whether there is one", "where the active bundle has one"),
        ("explanations", "the map's own test", "passed, or not shown by the active bundle either"),
    ]
    lines = ["| line | what is looked at | limit |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"
