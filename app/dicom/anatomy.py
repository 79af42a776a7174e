"""Body parts as modalities and technologists really write them, in several languages.

English, French, Spanish, German, Italian and Portuguese; texts are compared in capitals, without accents.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum

CHEST_WORDS = (
    *("CHEST", "THORAX", "THORAC", "TORAX", "TORAC", "THX", "LUNG", "PULMO", "PULMAO", "POUMON", "POLMON"),
    *("BRUSTKORB", "PECHO", "CXR"),
)
"""Beginnings of words that name the chest; PS3.16 CID 4031 has CHEST, the rest is found in the field."""
_CHEST_WHOLE = frozenset({"BRUST"})
"""Whole words alone: BRUSTBEIN and BRUSTWIRBEL begin so too."""

# The trunk, the spine, the head and the neck, the arm, the leg.
_BEGINNINGS = """
ABDOM ADDOM PELVI PELVE BECKEN BACINO KIDNEY BLADDER URET COLON STOMACH ESOPH BREAST MAMMO
KNOCHENALTER WHOLEBODY BABYGRAM CLAVIC CLAVIK KLAVIK SCHLUESSELB SCHLUSSELB SCAPUL ESCAPUL OMOPLAT
SCHULTERBL STERNUM ESTERNON BRUSTBEIN BRUSTWIRBEL RIBS RIPP COSTILL COSTELA COSTAL

SPINE SPINAL VERTEB LUMB CERVI SACRU SACRAL SACRO COCCY COXIS KREUZBEIN STEISS THORACOLUMB SCOLI SKOLI
ESCOLI WIRBEL RACHIS RACHID COLUMNA COLUNA

SKULL CRANI CRANE SCHAEDEL SCHADEL SINUS NASENNEB PARANASAL FACIAL TEETH TOOTH DENTAL DENTI DIENTE ZAHN
ZAEHN MANDIB MAXILL KIEFER CUELLO PESCOCO

SHOULDER SCHULTER EPAULE HOMBRO OMBRO SPALL HUMER UMERO OBERARM ELBOW ELLBOG ELLENBOG COUDE GOMIT COTOVEL
FOREARM UNTERARM AVANTBRAS ANTEBRA AVAMBRACC BRACCI BRACO BRAZO WRIST POIGNET MUNEC POLSO PUNHO HAND HAEND
FINGER THUMB DAUMEN DOIGT DEDO PULGAR METACARP METAKARP

HUEFT HUFT HANCHE CADERA QUADRIL FEMUR FEMOR THIGH OBERSCHENK UPPERLEG CUISSE MUSLO COSCIA COXA KNIEG GENOU
RODILL GINOCCH JOELHO PATELL ROTUL TIBIA FIBUL PERONE UNTERSCHENK LOWERLEG JAMBE PIERNA GAMBA PERNA ANKLE
SPRUNGGEL CHEVILLE TOBILL CAVIGLI TORNOZEL CALCAN FERSE FUSS FUESS ORTEIL EXTREMI ESTREMI METATARS
"""
_WORDS = """
HIP HIPS HIPJOINT KNEE KNEES LEG LEGS ARM ARMS FOOT FEET TOE TOES HEAD NECK JAW NOSE FACE ORBIT ORBITS KUB
RIB HEEL BRAIN CSPINE TSPINE LSPINE TLSPINE KNIE KNIEE ARMEN BEIN BEINE KOPF HALS NASE ZEHE ZEHEN BONE
BONEAGE ABD BWS HWS LWS NNH OSG USG BAUCH BACIA ULNA RADIUS CODO CODOS DITO DITA MANO MANOS MANI MAO MAOS
MAINS PIED PIEDS PIES PIEDE PIEDI ANCA COSTE COTES STERNO ESTERNO BASSIN BASSINS WS BRAS COU
COLLO SEIOS SENOS DENTE DENTES DENTS ASP
"""
_OTHER_BEGINNINGS = tuple(_BEGINNINGS.split())
_OTHER_WORDS = frozenset(_WORDS.split())
_OTHER_PHRASES = re.compile(
    # Words that mean something else too: the main campus, standing on one's feet, a pulmonary embolism.
    r"^(?:MAIN|PIE|PE)$|\bMAIN (?:GAUCHE|DROITE|GCHE|DTE|G|D|FACE|PROFIL|ET|OU|POIGNET)\b"
    r"|\bPIE (?:IZQ[A-Z]*|DER[A-Z]*|I|D|AP|LAT[A-Z]*|OBL[A-Z]*)\b|\bPE (?:ESQ[A-Z]*|DIR[A-Z]*)\b"
    r"|^PE (?:AP|PERFIL)\b|\bAGE OSSEUX\b|\bEDAD OSEA\b|\bETA OSSEA\b|\bIDADE OSSEA\b"
)
_OF_POSITION = re.compile(
    r"\b(?:DE|EN|A|AL) PIE\b|\bIN PIEDI\b|\bEM PE\b|\bPIED DU LIT\b|\bC ARMS?\b"
    r"|\bARMS? (?:UP|DOWN|RAISED|OUT|ABOVE|OVER)\b|\bARMEN? (?:HOCH|OBEN|UNTEN|GEHOBEN|ANGEHOBEN|ANGELEGT)\b"
    r"|\b(?:AN|ER)?(?:GE)?HOBENEN? ARMEN?\b|\bBRAS (?:LEVES?|HAUTS?|EN L AIR)\b"
    r"|\bBRA[CZ]OS (?:LEVANTADOS|ELEVADOS|ERGUIDOS|ARRIBA|ABAJO|PARA CIMA)\b"
    r"|\bBRACCIA (?:ALZATE|SOLLEVATE|ELEVATE|IN ALTO)\b|\b(?:MAOS NA|MANOS EN(?: LA)?) (?:CINTURA|NUCA)\b"
    r"|\bHEAD (?:UP|DOWN|END|RAISED|OF BED)\b|\bFOOT (?:UP|DOWN|END|OF BED)\b"
    r"|\b(?:FREE|BY) HAND\b|\bHAND ?(?:HELD|BAGG(?:ED|ING))\b|\bDEG(?:REES?)? CRANIAL\b"
    r"|\bCRANIAL (?:TILT|ANGLE|ANGULATION)\b|\bPAZ(?:IENTE)? ESTERNO\b|\bRP (?:DE )?FACE\b"
)
"""How somebody stood or lay, whose patient it is, or what was used: no other part of the body."""
_DISTANCE = re.compile(r"\b(?:[4-9]|10)\s*(?:FEET|FOOT)\b")
"""From the tube to the detector."""
_SAYS_NOTHING = frozenset(
    {
        *("", "UNKNOWN", "NONE", "OTHER", "NA", "N A", "NULL", "DEFAULT", "UNSPECIFIED", "NOT STATED"),
        *("ANY", "ALL", "GENERAL", "UNDEFINED", "NOT APPLICABLE", "PEDIATRIC", "PAEDIATRIC", "PEDIATRICS"),
    }
)


class BodyPart(Enum):
    """What a text says of the body part."""

    UNSTATED = "unstated"
    CHEST = "chest"
    OTHER = "other"


def words_of(text: str | None) -> list[str]:
    """The words of a text in capitals, without accents and punctuation: "Thorax a.p." gives THORAX, AP."""
    if not text:
        return []
    plain = unicodedata.normalize("NFKD", text.replace("\N{LATIN SMALL LETTER SHARP S}", "ss"))
    plain = plain.encode("ascii", "ignore").decode("ascii").upper()
    plain = re.sub(r"\b([AP])\s*[./-]\s*([AP])\b\.?", r"\1\2", _DISTANCE.sub(" ", plain))
    return re.findall(r"[A-Z]+", plain)


def body_part_of(text: str | None, *, free_text: bool, chest_is_stated: bool = False) -> BodyPart:
    """Read BodyPartExamined, or with `free_text` a description, in which unknown words say nothing.

    A chest together with another part (CHESTABDOMEN, a babygram) is another part. FACE is the frontal view
    in French where the chest is named, here or, with `chest_is_stated`, elsewhere in the header.
    """
    line = " ".join(words_of(text))
    if line in _SAYS_NOTHING:
        return BodyPart.UNSTATED
    if free_text:
        line = _OF_POSITION.sub(" ", line)
    words = line.split()
    chest = _names_chest(words)
    rest = {_without_chest(word) for word in words}
    if chest or chest_is_stated:
        rest -= {"FACE"}
    if rest & _OTHER_WORDS or any(word.startswith(_OTHER_BEGINNINGS) for word in rest):
        return BodyPart.OTHER
    if free_text and _OTHER_PHRASES.search(line):
        return BodyPart.OTHER
    if chest:
        return BodyPart.CHEST
    return BodyPart.UNSTATED if free_text else BodyPart.OTHER


def says_nothing(text: str | None) -> bool:
    """True where a device had to write something and nobody had said what."""
    return " ".join(words_of(text)) in _SAYS_NOTHING


def names_chest(text: str | None) -> bool:
    """True where the text names the chest, alone or with other parts."""
    return _names_chest(words_of(text))


def _names_chest(words: list[str]) -> bool:
    return any(
        word.startswith(CHEST_WORDS) or word in _CHEST_WHOLE or "CHEST" in word or "THORAX" in word
        for word in words
    )


def _without_chest(word: str) -> str:
    for name in ("CHEST", "THORAX"):
        if name in word and word != name:
            return word.replace(name, "", 1)
    return word
