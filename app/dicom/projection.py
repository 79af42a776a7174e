"""Views as modalities and technologists really write them, in several languages."""

from __future__ import annotations

from enum import Enum

from app.dicom.anatomy import words_of
from app.domain.sentence import sentence

_AP, _PA = frozenset({"AP", "ANTEROPOSTERIOR"}), frozenset({"PA", "POSTEROANTERIOR"})
_FRONTAL_WORDS = (
    _AP | _PA | {"FRONTAL", "FRONTALE", "FRONT", "FRENTE", "FACE", "DV", "VD", "DORSOVENTRAL", "VENTRODORSAL"}
)
_LATERAL_WORDS = frozenset(
    {
        *("LL", "RL", "LAT", "LLAT", "RLAT", "LATERAL", "LATERALE", "LATERALIS", "LATEROLATERAL"),
        *("SEITLICH", "SEITL", "SEIT", "PROFIL", "PERFIL", "PROFILO"),
    }
)
_DECUBITUS_WORDS = frozenset({"LLD", "RLD", "DECUB", "DECUBITUS"})
_OBLIQUE_WORDS = frozenset(
    {
        *("RLO", "LLO", "RAO", "LAO", "RPO", "LPO", "OBL", "OBLIQUE", "OBLIQ", "LORDOTIC"),
        *("OBLICUA", "OBLICUO", "OBLIQUA", "OBLIQUO", "SCHRAG", "SCHRAEG"),
    }
)
_SPECIAL = """
AXIAL AXIALE AXIALIS AXILLARY SWIMMER SWIMMERS TANGENTIAL TANGENTIELL TANG TOWNE TOWNES WATERS CALDWELL
SUNRISE SKYLINE MERCHANT STRYKER MORTISE JUDET FROG FROGLEG ODONTOID FLEXION EXTENSION PLANTODORSAL
DORSOPLANTAR PALMODORSAL DORSOPALMAR SUBMENTOVERTEX CRANIOCAUDAL CAUDOCRANIAL MEDIOLATERAL LATEROMEDIAL
SCOUT PANORAMIC OCCLUSAL BITEWING PERIAPICAL
"""
_SPECIAL_WORDS = frozenset(_SPECIAL.split())
# Codes of ViewPosition (0018,5101), mostly of mammography; in a description they mean anything.
_CODES = "AX CC MLO ML LM LMO FB SIO ISO CV XCC XCCL XCCM CCID MLID SMV DP PD TNG APICAL INLET OUTLET"
_SPECIAL_CODES = frozenset(_CODES.split())


_TWO_WORDS = (
    ("POSTERO", "ANTERIOR", "PA"),
    ("ANTERO", "POSTERIOR", "AP"),
    ("CRANIO", "CAUDAL", "CRANIOCAUDAL"),
    ("MEDIO", "LATERAL", "MEDIOLATERAL"),
    ("LATERO", "MEDIAL", "LATEROMEDIAL"),
    ("LATERO", "LATERALE", "LATERAL"),
)


class View(Enum):
    """What a text says of the projection; the values are words for a sentence."""

    UNSTATED = "unstated"
    AP = "AP"
    PA = "PA"
    FRONTAL = sentence("frontal")
    LATERAL = sentence("lateral")
    DECUBITUS = sentence("decubitus")
    OBLIQUE = sentence("oblique")
    OTHER = sentence("special")


def view_of(text: str | None, *, free_text: bool = False) -> View:
    """Read ViewPosition or a view code's meaning, or with `free_text` a series description.

    Frontal and lateral together say nothing.
    """
    line = words_of(text)
    words = set(line)
    for first, second, joined in _TWO_WORDS:
        if {first, second} <= words:
            words.add(joined)
    if words & (_SPECIAL_WORDS if free_text else _SPECIAL_WORDS | _SPECIAL_CODES):
        return View.OTHER
    if _is_decubitus(words, " ".join(line)):
        return View.DECUBITUS
    if words & _OBLIQUE_WORDS:
        return View.OBLIQUE
    frontal = words & _FRONTAL_WORDS
    if words & _LATERAL_WORDS:
        return View.UNSTATED if frontal else View.LATERAL
    return _frontal_view(frontal)


def _is_decubitus(words: set[str], line: str) -> bool:
    """True where somebody lies and the beam is horizontal.

    French "decubitus dorsal" and "de face, decubitus" are lying on the back under a vertical beam, English
    "dorsal decubitus" is a horizontal one; "decubito" is any way of lying, and only the lateral one counts.
    """
    if words & _DECUBITUS_WORDS:
        return "DECUBITUS DORSAL" not in line and not ("FACE" in words and not words & _LATERAL_WORDS)
    return "DECUBITO LATERAL" in line


def _frontal_view(words: set[str]) -> View:
    if words & _PA and not words & _AP:
        return View.PA
    if words & _AP and not words & _PA:
        return View.AP
    return View.FRONTAL if words else View.UNSTATED


def view_of_orientation(patient_orientation: str | None) -> View:
    r"""Lateral when the rows run towards the anterior or posterior ("A\F", PS3.3 C.7.6.1.1.1), unstated
    otherwise.
    """
    rows = (patient_orientation or "").strip().upper().split("\\")[0]
    return View.LATERAL if rows[:1] in ("A", "P") else View.UNSTATED
