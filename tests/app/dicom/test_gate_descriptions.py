"""Descriptions of study, series and protocol speak of other parts, and of chests in many words."""

from __future__ import annotations

import pytest

from app.dicom.gate import (
    OTHER_PARTS_IN_STUDY,
    GateVerdict,
)
from tests.app.dicom.judged import judge

OTHER_PARTS = {
    "en": [
        "KNEE AP",
        "hand",
        "Abdomen supine",
        "Hand PA left",
        "Wrist",
        "HIP",
        "CHEST AND ABDOMEN",
        "Bone age",
        "Both feet",
    ],
    "fr": [
        "MAIN GAUCHE",
        "Main G face",
        "Poignet",
        "Genou droit",
        "\u00c9paule",
        "Bassin de face",
        "ASP",
        "Pied D",
    ],
    "es": [
        "Pie izq",
        "Pie AP",
        "Mano derecha",
        "Mu\u00f1eca",
        "Rodilla",
        "Cr\u00e1neo",
        "Columna lumbar",
        "Parrilla costal",
        "Estern\u00f3n",
    ],
    "de": [
        "H\u00fcfte",
        "Huefte bds.",
        "Fu\u00df links",
        "F\u00fc\u00dfe",
        "Knie re",
        "Sch\u00e4del",
        "Ellenbogen",
        "HWS",
        "Brustwirbels\u00e4ule",
        "Brustbein seitlich",
    ],
    "it": [
        "Ginocchio",
        "Mano sinistra",
        "Piede dx",
        "Addome",
        "Gomito",
        "Caviglia",
        "Colonna",
        "Torace e addome",
    ],
    "pt": [
        "M\u00e3o esquerda",
        "P\u00e9 direito",
        "Joelho",
        "Ombro",
        "Cotovelo",
        "Cr\u00e2nio",
        "Idade \u00f3ssea",
        "Bacia",
    ],
}


@pytest.mark.parametrize("field", ["series_description", "protocol_name", "study_description"])
@pytest.mark.parametrize("description", [text for texts in OTHER_PARTS.values() for text in texts])
def test_a_body_part_left_at_chest_is_contradicted_by_the_descriptions(field: str, description: str) -> None:
    verdict = judge(**{field: description})
    if field == "study_description" and description in ("CHEST AND ABDOMEN", "Torace e addome"):
        assert verdict == GateVerdict(None, (OTHER_PARTS_IN_STUDY,))
        return
    assert verdict.withheld is not None
    assert "the body part is CHEST, but the" in verdict.withheld
    assert "names another part of the body" in verdict.withheld


CHEST_DESCRIPTIONS = [
    *(
        "CHEST PA",
        "Chest AP portable",
        "XR CHEST 1 VIEW",
        "CXR main ED",
        "Chest, arms up",
        "CHEST AP HEAD UP 30",
    ),
    *("Chest AP handheld", "CHEST AP SUPINE", "Port chest ?PE right sided pain", "CHEST EXTREMELY PREMATURE"),
    *(
        "Rx thorax face",
        "Thorax de face debout",
        "Thorax face et profil",
        "Radio pulmonaire",
        "Poumons de face",
    ),
    *(
        "Thorax lit, d\u00e9cubitus dorsal",
        "Thorax c\u00f4t\u00e9 gauche",
        "T\u00f3rax PA y lateral",
        "T\u00f3rax PA de pie",
    ),
    *(
        "Rx de t\u00f3rax en dec\u00fabito supino",
        "T\u00f3rax frente y perfil",
        "Hipertensi\u00f3n pulmonar, t\u00f3rax",
    ),
    *(
        "Thorax a.p. im Liegen",
        "Thorax p.a. im Stehen",
        "Thorax in 2 Ebenen",
        "Lunge liegend",
        "Thorax Bettaufnahme",
    ),
    *("Torace AP", "RX torace in piedi", "Torace in proiezione AP e LL", "Polmoni"),
    *("T\u00f3rax PA em p\u00e9", "Radiografia de t\u00f3rax AP leito", "Pulm\u00f5es PA e perfil"),
    # what stands beside the chest without being another part of the body
    *("CHEST PA 6 FEET", "Port chest, head of bed 30", "CHEST IN BASSINET", "Chest r/o PE AP portable"),
    *("CHEST WITH HAND BAGGING", "CHEST AP 15 DEG CRANIAL", "Thorax mit gehobenen Armen", "Thorax Arme hoch"),
    *("Thorax face d\u00e9cubitus", "Thorax de face au pied du lit", "T\u00f3rax, brazos arriba"),
    *("T\u00f3rax post esternotom\u00eda", "RX torace esterni", "RX torace paziente esterno"),
    *("Torace braccia alzate", "T\u00f3rax, bra\u00e7os elevados", "T\u00f3rax, m\u00e3os na cintura"),
]


@pytest.mark.parametrize("body_part", ["CHEST", None])
@pytest.mark.parametrize("field", ["series_description", "protocol_name", "study_description"])
@pytest.mark.parametrize("description", CHEST_DESCRIPTIONS)
def test_a_childs_chest_passes_however_it_is_described(
    field: str, description: str, body_part: str | None
) -> None:
    verdict = judge(body_part_examined=body_part, view_position="PA", **{field: description})
    assert verdict == GateVerdict(None, ())


def test_the_view_called_face_is_no_face_where_the_chest_is_named_elsewhere() -> None:
    said = {"view_position": None, "series_description": "Face"}
    assert judge(**said) == GateVerdict(None, ())
    named = judge(**said, body_part_examined=None, study_description="Radio thorax")
    assert named == GateVerdict(None, ())
    assert "another part" in (judge(**said, body_part_examined=None).withheld or "")


def test_a_study_of_several_parts_withholds_no_image_that_is_named_a_chest() -> None:
    polytrauma = judge(study_description="Polytrauma: Becken", series_description="Thorax a.p.")
    assert polytrauma == GateVerdict(None, (OTHER_PARTS_IN_STUDY,))


def test_a_babygram_in_one_image_is_withheld() -> None:
    for changes in (
        {"series_description": "CHEST AND ABDOMEN"},
        {"protocol_name": "Babygram"},
        {"body_part_examined": "CHESTABDOMEN"},
    ):
        assert judge(**changes).withheld is not None
