"""What was wrong with the values of a request, in words of the catalogue."""

from __future__ import annotations

from typing import Any

from fastapi.exceptions import RequestValidationError

from app.domain.sentence import sentence
from app.errors import BadRequest, Problem, Unprocessable

_MOST_ERRORS = 20
_NO_TIME = sentence("this is not a date and time as ISO 8601 writes it, with its zone")
_NO_LIST = sentence("this is not a list")
_NO_OBJECT = sentence("this is not an object with names and values")
_FAMILIES = {
    "missing": sentence("this is needed and was not given"),
    "extra": sentence("nothing of this name is taken here"),
    "uuid": sentence("this is not a UUID"),
    "bool": sentence("this is neither true nor false"),
    "int": sentence("this is not a whole number"),
    "float": sentence("this is not a number"),
    "finite": sentence("this is not a number"),
    "date": sentence("this is not a date, written year-month-day"),
    "datetime": _NO_TIME,
    "timezone": _NO_TIME,
}
"""What pydantic's kinds of errors begin with, and the sentence for all of them."""
_KINDS = {
    "string_type": sentence("this is not a text"),
    "string_pattern_mismatch": sentence("this is not written as it must be"),
    "list_type": _NO_LIST,
    "set_type": _NO_LIST,
    "dict_type": _NO_OBJECT,
    "model_type": _NO_OBJECT,
    "model_attributes_type": _NO_OBJECT,
}


def problem_of_validation(error: RequestValidationError) -> Problem:
    """What was wrong with each value, without repeating the value, which may name a patient."""
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return BadRequest("The body is not valid JSON.")
    errors = [
        {"where": ".".join(str(part) for part in item["loc"]), "problem": in_words(item)}
        for item in found[:_MOST_ERRORS]
    ]
    return Unprocessable(" ".join(_told_of(**each) for each in errors), errors=errors)


def _told_of(where: str, problem: str) -> str:
    said_problem = problem
    return sentence(f"{where}: {said_problem}.")


def in_words(item: dict[str, Any]) -> str:
    """What pydantic objects to, without a full stop; its own words where it has no others here."""
    kind, limits = str(item["type"]), item.get("ctx") or {}
    return (
        _KINDS.get(kind)
        or _FAMILIES.get(kind.partition("_")[0])
        or _of_size(kind, limits)
        or _of_value(limits)
        or str(item["msg"]).removeprefix("Value error, ").rstrip(".")
    )


def _of_size(kind: str, limits: dict[str, Any]) -> str | None:
    text = kind.startswith("string")
    match limits:
        case {"max_length": most}:
            return sentence(
                f"this has more than {most} characters" if text else f"these are more than {most}"
            )
        case {"min_length": least}:
            return sentence(
                f"this has fewer than {least} characters" if text else f"these are fewer than {least}"
            )
    return None


def _of_value(limits: dict[str, Any]) -> str | None:
    match limits:
        case {"ge": least}:
            return sentence(f"this is less than {least}")
        case {"gt": bound}:
            return sentence(f"this is not more than {bound}")
        case {"le": most}:
            return sentence(f"this is more than {most}")
        case {"lt": bound}:
            return sentence(f"this is not less than {bound}")
        case {"expected": str(expected)}:
            return sentence(f"this must be one of {expected}")
    return None
