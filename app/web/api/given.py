"""What a sender says of files that cannot say it themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.commands.intake import GivenMetadata
from app.dicom.age import parse_patient_age
from app.domain.order import Priority
from app.domain.sentence import sentence
from app.errors import Unprocessable
from app.web.api.values import one_line

_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O", "u": None, "unknown": None}
_VIEW = re.compile(r"[A-Z0-9_ ]{1,16}")
_LONGEST = {"patient_id": 64, "patient_name": 200, "accession_number": 64}
FIELDS = (*_LONGEST, "age", "sex", "view", "priority", "purpose")


def given_in(fields: Mapping[str, str], *, also: tuple[str, ...] = ()) -> GivenMetadata:
    """The metadata of a form; raises Unprocessable with a sentence on every field that is not right."""
    wrong: list[dict[str, str]] = []

    def note(name: str, problem: str) -> None:
        wrong.append({"where": name, "problem": problem})

    for name in sorted(set(fields) - {*FIELDS, *also}):
        note(name if name.isidentifier() and len(name) < 40 else "form", sentence("there is no such field"))
    texts: dict[str, str | None] = {}
    for name, longest in _LONGEST.items():
        try:
            texts[name] = one_line(fields.get(name, ""), longest=longest, what=sentence("it")) or None
        except ValueError as error:
            note(name, str(error))
    age = fields.get("age", "").strip()
    age_years = parse_patient_age(age) if age else None
    if age and age_years is None:
        note("age", sentence("send years as 3 or 3Y, months as 18M, weeks as 6W or days as 5D"))
    sex = fields.get("sex", "").strip().lower()
    if sex and sex not in _SEXES:
        note("sex", sentence("send M, F, O or nothing"))
    view = fields.get("view", "").strip().upper()
    if view and not _VIEW.fullmatch(view):
        note("view", sentence("send a view position such as AP or PA"))
    priority = fields.get("priority", "").strip().lower() or Priority.ROUTINE.value
    if priority not in list(Priority):
        note("priority", sentence("send routine or stat"))
    purpose = fields.get("purpose", "").strip().lower() or "current"
    if purpose not in ("current", "prior"):
        note("purpose", sentence("send current or prior"))
    if wrong:
        raise Unprocessable(" ".join(_said(**item) for item in wrong), errors=wrong)
    return GivenMetadata(
        **texts,
        age_years=age_years,
        sex=_SEXES.get(sex),
        view=view or None,
        priority=Priority(priority),
        purpose=purpose,
    )


def _said(where: str, problem: str) -> str:
    said_problem = problem
    return sentence(f"{where}: {said_problem}.")
