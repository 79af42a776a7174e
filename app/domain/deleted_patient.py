"""How a deleted patient is known again where it matters who learns and who judges: by keyed hashes alone.

A place in the locked test, or among those networks learnt from, is for ever. The key of the hash is the
site's own; who has both it and the database can try a PatientID, and nobody can read one.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from app.domain.patient_key import SEPARATOR, WITHOUT_ISSUER

STANDS_FOR = f"deleted{SEPARATOR}"


def name_of(patient_key: str, *, secret: str) -> str:
    """What stands for the patient; the same for the same key."""
    if patient_key.startswith(STANDS_FOR):
        return patient_key
    return STANDS_FOR + _mark("key", patient_key, secret)


def marks_kept(patient_key: str, *, secret: str) -> list[str]:
    """Under these marks a deleted patient's name is kept."""
    bare = re.sub(WITHOUT_ISSUER, "", patient_key)
    marks = [_mark("key", patient_key, secret)]
    return marks if bare == patient_key else [*marks, _mark("number", bare, secret)]


def marks_asked(patient_key: str, *, secret: str) -> list[str]:
    """A patient with one of these marks is the deleted one: the same key, or the same PatientID where one of
    the two has no issuer.
    """
    bare = re.sub(WITHOUT_ISSUER, "", patient_key)
    other = _mark("key", bare, secret) if bare != patient_key else _mark("number", patient_key, secret)
    return [_mark("key", patient_key, secret), other]


def _mark(what: str, text: str, secret: str) -> str:
    return hmac.new(secret.encode(), f"{what} {text}".encode(), hashlib.sha256).hexdigest()
