"""Body parts and views as modalities and technologists really write them, in several languages."""

from __future__ import annotations

import re
import unicodedata
from enum import Enum

CHEST_WORDS = (
    "CHEST",
    "THORAX",
    "THORAC",
    "TORAX",
    "THX",
    "LUNG",
    "PULMO",
    "PULMON",
    "POUMON",
    "BRUSTKORB",
    "PECHO",
    "CXR",
)
"""Beginnings of words that name the chest; PS3.16 CID 4031 has CHEST, the rest is found in the field."""

_OTHER_BEGINNINGS = (
    *("ABDOM", "PELVI", "BECKEN", "HIP JOINT", "SHOULDER", "SCHULTER", "ELBOW", "WRIST", "FINGER", "FOREARM"),
    *("HUMER", "FEMUR", "FEMOR", "TIBIA", "FIBULA", "ANKLE", "EXTREM", "SKULL", "CRANI", "SCHAEDEL", "SINUS"),
    *("TEETH", "TOOTH", "DENTAL", "MANDIB", "MAXILLA", "SPINE", "SPINAL", "VERTEB", "LUMB", "CERVI", "SACR"),
    *(
        "COCCYX",
        "CLAVIC",
        "SCAPULA",
        "STERNUM",
        "BREAST",
        "MAMMO",
        "WHOLEBODY",
        "THIGH",
        "UPPERLEG",
        "LOWERLEG",
    ),
    *("PATELLA", "CALCAN", "KIDNEY", "BLADDER", "URET", "COLON", "STOMACH", "ESOPH", "HAND", "RIBS", "THUMB"),
    *("THORACOLUMB", "BABYGRAM", "SCOLI", "SKOLI", "WIRBEL", "HUEFT", "HUFT", "RACHIS", "GENOU", "HANCHE"),
    *("BASSIN", "EPAULE", "COUDE", "POIGNET", "CHEVILLE", "CRANE", "RODILL", "CADERA", "HOMBRO", "MUNEC"),
    *("TOBILL",),
)
_OTHER_WORDS = frozenset(
    {
        *(
            "HIP",
            "HIPS",
            "KNEE",
            "KNEES",
            "LEG",
            "LEGS",
            "ARM",
            "ARMS",
            "FOOT",
            "FEET",
            "TOE",
            "TOES",
            "HEAD",
            "NECK",
        ),
        *(
            "JAW",
            "NOSE",
            "FACE",
            "ORBIT",
            "ORBITS",
            "KUB",
            "RIB",
            "HEEL",
            "BRAIN",
            "CSPINE",
            "TSPINE",
            "LSPINE",
            "KNIE",
        ),
        *("FUSS", "ARMEN", "BEIN", "KOPF", "HALS", "BONE", "BONEAGE", "BABYGRAM"),
        *("ABD", "BWS", "HWS", "LWS", "TLSPINE", "MANO", "CODO", "PIED", "PIEDS"),
    }
)
_SAYS_NOTHING = frozenset(
    {"", "UNKNOWN", "NONE", "OTHER", "NA", "N A", "NULL", "DEFAULT", "UNSPECIFIED", "NOT STATED"}
)

FRONTAL_WORDS = frozenset({"AP", "PA", "FRONTAL", "FRONT", "DV", "VD", "POSTEROANTERIOR", "ANTEROPOSTERIOR"})
_LATERAL_WORDS = frozenset(
    {
        "LL",
        "RL",
        "LAT",
        "LATERAL",
        "LATERALE",
        "LATERALIS",
        "SEITLICH",
        "SEITL",
        "SEIT",
        "PROFIL",
        "LLAT",
        "RLAT",
    }
)
_DECUBITUS_WORDS = frozenset({"LLD", "RLD", "DECUB", "DECUBITUS"})
_OBLIQUE_WORDS = frozenset({"RLO", "LLO", "RAO", "LAO", "RPO", "LPO", "OBL", "OBLIQUE", "OBLIQ", "LORDOTIC"})


class BodyPart(Enum):
    """What a text says of the body part."""

    UNSTATED = "unstated"
    CHEST = "chest"
    OTHER = "other"


class View(Enum):
    """What a text says of the projection; the values are words for a sentence."""

    UNSTATED = "unstated"
    AP = "AP"
    PA = "PA"
    FRONTAL = "frontal"
    LATERAL = "lateral"
    DECUBITUS = "decubitus"
    OBLIQUE = "oblique"


def words_of(text: str | None) -> list[str]:
    """The words of a text in capitals, without accents and punctuation: "Thorax a.p." gives THORAX, AP."""
    if not text:
        return []
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").upper()
    plain = re.sub(r"\b([AP])\s*[./-]\s*([AP])\b\.?", r"\1\2", plain)
    return re.findall(r"[A-Z]+", plain)


def body_part_of(text: str | None, *, free_text: bool) -> BodyPart:
    """Read BodyPartExamined, or with `free_text` a description, in which unknown words say nothing.

    A chest together with another part (CHESTABDOMEN, a babygram) is another part.
    """
    words = words_of(text)
    if " ".join(words) in _SAYS_NOTHING:
        return BodyPart.UNSTATED
    chest = [word for word in words if word.startswith(CHEST_WORDS)]
    rest = [_without_chest(word) for word in words]
    if any(word in _OTHER_WORDS or word.startswith(_OTHER_BEGINNINGS) for word in rest):
        return BodyPart.OTHER
    if chest:
        return BodyPart.CHEST
    if any(any(inner in word for inner in ("CHEST", "THORAX")) for word in words):
        return BodyPart.CHEST
    return BodyPart.UNSTATED if free_text else BodyPart.OTHER


def _without_chest(word: str) -> str:
    for name in ("CHEST", "THORAX"):
        if name in word and word != name:
            return word.replace(name, "", 1)
    return word


def view_of(text: str | None) -> View:
    """Read ViewPosition, a view code's meaning or a series description; frontal and lateral together say
    nothing.
    """
    words = set(words_of(text))
    if {"POSTERO", "ANTERIOR"} <= words:
        words.add("PA")
    if {"ANTERO", "POSTERIOR"} <= words:
        words.add("AP")
    frontal = words & FRONTAL_WORDS
    if words & _DECUBITUS_WORDS:
        return View.DECUBITUS
    if words & _OBLIQUE_WORDS:
        return View.OBLIQUE
    if words & _LATERAL_WORDS:
        return View.UNSTATED if frontal else View.LATERAL
    if frontal & {"PA", "POSTEROANTERIOR"} and not frontal & {"AP", "ANTEROPOSTERIOR"}:
        return View.PA
    if frontal & {"AP", "ANTEROPOSTERIOR"} and not frontal & {"PA", "POSTEROANTERIOR"}:
        return View.AP
    return View.FRONTAL if frontal else View.UNSTATED


def view_of_orientation(patient_orientation: str | None) -> View:
    r"""Lateral when the rows run towards the anterior or posterior ("A\F", PS3.3 C.7.6.1.1.1), unstated
    otherwise.
    """
    rows = (patient_orientation or "").strip().upper().split("\\")[0]
    return View.LATERAL if rows[:1] in ("A", "P") else View.UNSTATED
