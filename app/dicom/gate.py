"""The header gate: may the network speak of this image at all? It speaks first, before a pixel is decoded.

Every refusal is a sentence for a radiologist. What the header does not say is not held against an image,
except for its modality and, unless the site has declared a paediatric source, its patient's age.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.dicom.age import say_age, say_limit
from app.dicom.anatomy import BodyPart, body_part_of, names_chest, says_nothing, words_of
from app.dicom.image_header import DICOM, ImageHeader
from app.dicom.projection import View, view_of, view_of_orientation
from app.domain.intended_use import IntendedUse
from app.domain.sentence import sentence

AGE_UNKNOWN = sentence("age unknown")
BODY_PART_UNSTATED = sentence("body part not stated")
VIEW_UNSTATED = sentence("view not stated")
OTHER_PARTS_IN_STUDY = sentence("the study shows other body parts too")
SECONDARY_CAPTURE = sentence("secondary capture")

SMALLEST_SIDE = 128
"""Pixels; smaller images are icons and thumbnails, in which nothing of a lung can be judged."""
LONGEST_RATIO = 4
"""Long over short side; beyond it an image is a strip or a stitched spine, not a chest."""

_DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
_RADIOGRAPHS = frozenset({"1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", _DX_FOR_PROCESSING})
"""CR, and DX for presentation and for processing (PS3.6 annex A)."""
_SECONDARY_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
_STANDARD = "1.2.840.10008."
_CAPTURES_OF_RADIOGRAPHS = frozenset({"WSD", "DI", "DF"})
"""ConversionType (0008,0064): from a workstation, a digital interface, digitised film; not drawn, not scanned
paper, not from video."""
_NO_PLAIN_RADIOGRAPH = frozenset(
    {
        *("SUBTRACTION", "ENERGY", "BONE", "TOMOSYNTHESIS", "TOMO", "GENERATED", "STITCHED", "LOCALIZER"),
        *("SCREENSHOT", "SCREENSAVE", "REPORT", "CAD", "HEATMAP", "OVERLAY", "DOSE"),
    }
)
"""Words of ImageType (0008,0008) that name what was made from radiographs, or is none."""
_HUMAN = frozenset({"HOMO", "SAPIENS", "HUMAN", "HUMANO", "HUMANA", "HUMAIN", "HUMAINE", "UMANO", "MENSCH"})
_TEST_WORDS = frozenset({"QC", "QA", "TESTIMAGE", "TESTBILD", "FLATFIELD", "KALIBRIERUNG", "CALIBRATION"})
_TEST_PHRASES = (
    "QUALITY CONTROL",
    "QUALITY ASSURANCE",
    "TEST IMAGE",
    "FLAT FIELD",
    "KONSTANZPR",
    "DETECTOR TEST",
)
_PHANTOM_BEGINNINGS = ("PHANTOM", "FANTOM", "PRUEFKORPER", "PRUFKORPER", "PRUEFKOERPER")


_FRONTAL = (View.AP, View.PA, View.FRONTAL)


@dataclass(frozen=True)
class GateVerdict:
    """`withheld` is the sentence why the network must not speak, or None; `notices` show wherever the
    reading shows.
    """

    withheld: str | None
    notices: tuple[str, ...] = ()


def header_gate(
    header: ImageHeader,
    intended_use: IntendedUse,
    *,
    paediatric_source: bool,
    door: Literal["dicom", "file"],
) -> GateVerdict:
    """Hold a header against a bundle's intended use.

    `door` is "file" for images given one by one on purpose (a browser's PNG or JPEG, `predict`): there an
    unknown age is screened with a notice. Through "dicom" that needs `paediatric_source`.
    """
    notices: list[str] = []
    withheld = (
        _patient(header)
        or _modality(header, intended_use)
        or _kind_of_image(header, notices)
        or _body_part(header, notices)
        or _view(header, intended_use, notices)
        or _age(header, intended_use, notices, age_may_be_unknown=paediatric_source or door == "file")
        or _dimensions(header)
    )
    return GateVerdict(withheld, tuple(notices))


def _modality(header: ImageHeader, intended_use: IntendedUse) -> str | None:
    said_known = " or ".join(intended_use.modalities)
    modality = (header.modality or "").upper()
    if modality:
        return (
            None
            if modality in intended_use.modalities
            else sentence(f"The modality is {modality}; this network knows {said_known}.")
        )
    if header.media_type == DICOM:
        return sentence(f"The header names no modality; this network knows {said_known}.")
    return None


def _patient(header: ImageHeader) -> str | None:
    if not says_nothing(header.patient_species) and not _HUMAN & set(words_of(header.patient_species)):
        return sentence(
            f"The patient is an animal ({header.patient_species}); this network knows humans alone."
        )
    if (header.quality_control_image or "NO").upper() in ("YES", "Y", "BOTH"):
        return sentence("The image is marked as a quality control image; it shows no patient.")
    descriptions = (header.series_description, header.protocol_name)
    phantom = any(word.startswith(_PHANTOM_BEGINNINGS) for text in descriptions for word in words_of(text))
    if phantom or any(_is_test(text) for text in (*descriptions, header.study_description)):
        return sentence(
            "The description names a phantom or a test of the device; the image shows no patient."
        )
    return None


def _is_test(description: str | None) -> bool:
    words = words_of(description)
    line = " ".join(words)
    return bool(_TEST_WORDS & set(words)) or any(phrase in line for phrase in _TEST_PHRASES)


def _kind_of_image(header: ImageHeader, notices: list[str]) -> str | None:
    if (
        "FOR PROCESSING" in (header.presentation_intent or "").upper()
        or header.sop_class_uid == _DX_FOR_PROCESSING
    ):
        return sentence(
            "The image is raw data for processing; this network reads images made for presentation."
        )
    if (header.number_of_frames or 1) > 1:
        return sentence(
            f"The image has {header.number_of_frames} frames; this network reads single radiographs."
        )
    if header.media_type != DICOM:
        return None
    photometric = (header.photometric_interpretation or "").upper()
    if (header.samples_per_pixel or 1) > 1 or photometric == "PALETTE COLOR":
        return sentence("The image is in colour, as a screenshot is; this network reads grey radiographs.")
    if _NO_PLAIN_RADIOGRAPH & set(words_of((header.image_type or "").replace("_", " "))):
        return sentence(
            f"The image was made from others ({header.image_type}); this network reads plain radiographs."
        )
    return _sop_class(header, notices)


def _sop_class(header: ImageHeader, notices: list[str]) -> str | None:
    """A device's own class passes; a secondary capture only where it says that it came from a radiograph."""
    uid = header.sop_class_uid
    if uid is None or uid in _RADIOGRAPHS or not uid.startswith(_STANDARD):
        return None
    if uid != _SECONDARY_CAPTURES and not uid.startswith(_SECONDARY_CAPTURES + "."):
        return sentence(
            f"The modality is {header.modality}, but the object is none that a radiograph is kept in ({uid})."
        )
    conversion = (header.conversion_type or "").upper()
    if conversion not in _CAPTURES_OF_RADIOGRAPHS:
        if conversion:
            return sentence(
                f"The image is a secondary capture ({conversion}); this network reads radiographs."
            )
        return sentence(
            "The image is a secondary capture, and it does not say of what; this network reads radiographs."
        )
    notices.append(SECONDARY_CAPTURE)
    return None


def _body_part(header: ImageHeader, notices: list[str]) -> str | None:
    stated = body_part_of(header.body_part_examined, free_text=False)
    if stated is BodyPart.OTHER:
        named = (header.body_part_examined or "").upper()
        return sentence(f"The body part is {named}; this network knows the chest alone.")
    if header.media_type != DICOM:
        return None
    texts = (header.series_description, header.protocol_name, header.study_description)
    is_chest = stated is BodyPart.CHEST or any(names_chest(text) for text in texts)
    said = [body_part_of(text, free_text=True, chest_is_stated=is_chest) for text in texts]
    if stated is BodyPart.CHEST:
        return _contradiction(header, said, notices)
    for described in said:
        if described is BodyPart.CHEST:
            return None
        if described is BodyPart.OTHER:
            return sentence(
                "The description names another part of the body; this network knows the chest alone."
            )
    notices.append(BODY_PART_UNSTATED)
    return None


def _contradiction(header: ImageHeader, said: list[BodyPart], notices: list[str]) -> str | None:
    """BodyPartExamined is the chest, often only because the device was left so: the descriptions are heard.

    Those of series and protocol are about this image. That of the study may be about its other images: it
    counts where nothing but BodyPartExamined speaks for the chest.
    """
    names = sentence("series description"), sentence("protocol")
    for said_name, described in zip(names, said, strict=False):
        if described is BodyPart.OTHER:
            return sentence(
                "The header contradicts itself: the body part is CHEST, "
                f"but the {said_name} names another part of the body; this network knows the chest alone."
            )
    of_study = said[2]
    if of_study is BodyPart.OTHER:
        if BodyPart.CHEST not in said[:2] and not names_chest(header.study_description):
            return sentence(
                "The header contradicts itself: the body part is CHEST, but the study description names "
                "another part of the body; this network knows the chest alone."
            )
        notices.append(OTHER_PARTS_IN_STUDY)
    return None


def _view(header: ImageHeader, intended_use: IntendedUse, notices: list[str]) -> str | None:
    stated = view = view_of(header.view_position)
    if view is View.UNSTATED:
        view = view_of_orientation(header.patient_orientation)
    for description in (header.series_description, header.protocol_name):
        if view is View.UNSTATED:
            view = view_of(description, free_text=True)
    said_known = " or ".join(intended_use.views)
    if view is View.UNSTATED:
        if header.media_type == DICOM:
            notices.append(VIEW_UNSTATED)
        return None
    described = view_of(header.series_description, free_text=True)
    if stated in _FRONTAL and described in (View.LATERAL, View.OTHER):
        said_view, said_other = stated.value, described.value
        return sentence(
            f"The header contradicts itself: the view is {said_view}, but the series description names a "
            f"{said_other} one; this network knows frontal views ({said_known}) alone."
        )
    if view is View.FRONTAL or view.value in intended_use.views:
        return None
    if view in (View.AP, View.PA):
        return sentence(f"The view is {view.value}; this network knows {said_known} views.")
    if stated is View.OTHER:
        named = (header.view_position or "").upper()
        return sentence(
            f"The view is {named}, which is no frontal one; "
            f"this network knows frontal views ({said_known}) alone."
        )
    said_view = view.value
    return (
        sentence(f"This is an {said_view} view; this network knows frontal views ({said_known}) alone.")
        if view is View.OBLIQUE
        else sentence(f"This is a {said_view} view; this network knows frontal views ({said_known}) alone.")
    )


def _age(
    header: ImageHeader, intended_use: IntendedUse, notices: list[str], *, age_may_be_unknown: bool
) -> str | None:
    least, most = intended_use.min_age_years, intended_use.max_age_years
    said_known = sentence(
        f"this network knows patients from {say_limit(least)} to under {say_limit(most)} of age"
    )
    if header.age_years is None:
        if not age_may_be_unknown:
            return sentence(f"The patient's age is unknown; {said_known}.")
        notices.append(AGE_UNKNOWN)
        return None
    if not intended_use.admits_age(header.age_years):
        return sentence(f"The patient is {say_age(header.age_years)}; {said_known}.")
    by_dates = header.age_from_dates_years
    # Inside by PatientAge, and by the dates outside by more than the rounding of "003Y" explains.
    if by_dates is not None and not least - 1 <= by_dates < most + 1:
        return sentence(
            f"The header contradicts itself: {say_age(header.age_years)} by the age, "
            f"{say_age(by_dates)} by the dates of birth and study; {said_known}."
        )
    return None


def _dimensions(header: ImageHeader) -> str | None:
    if not header.rows or not header.columns:
        return None
    short, long = sorted((header.rows, header.columns))
    if short < SMALLEST_SIDE:
        return sentence(
            f"The image has only {header.columns} x {header.rows} pixels; nothing can be judged in it."
        )
    if long > LONGEST_RATIO * short:
        return sentence(
            f"The image has {header.columns} x {header.rows} pixels; a chest radiograph is not that narrow."
        )
    return None
