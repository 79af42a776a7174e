"""DICOM JSON as native DICOM XML (PS3.19 annex A.1), for clients that accept only application/dicom+xml."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from pydicom.datadict import keyword_for_tag

from app.dicom.attributes import JsonObject

_NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_NOT_XML = {0xFFFE: None, 0xFFFF: None}


def native_xml(model: JsonObject) -> bytes:
    """One dataset in the DICOM JSON model as a NativeDicomModel document, UTF-8."""
    root = ET.Element("NativeDicomModel", {"xmlns": _NAMESPACE, "xml:space": "preserve"})
    _append(root, model)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _append(parent: ET.Element, model: JsonObject) -> None:
    for tag, element in model.items():
        names = {"tag": tag, "vr": element["vr"]}
        if keyword := keyword_for_tag(int(tag, 16)):
            names["keyword"] = keyword
        attribute = ET.SubElement(parent, "DicomAttribute", names)
        if "BulkDataURI" in element:
            ET.SubElement(attribute, "BulkData", {"uri": element["BulkDataURI"]})
        if "InlineBinary" in element:
            ET.SubElement(attribute, "InlineBinary").text = element["InlineBinary"]
        for number, value in enumerate(element.get("Value", ()), start=1):
            if value is not None:
                _append_value(attribute, element["vr"], str(number), value)


def _append_value(attribute: ET.Element, vr: str, number: str, value: Any) -> None:
    if vr == "SQ":
        _append(ET.SubElement(attribute, "Item", {"number": number}), value)
    elif vr == "PN":
        name = ET.SubElement(attribute, "PersonName", {"number": number})
        for representation, written in value.items():
            group = ET.SubElement(name, representation)
            for part, text in zip(_NAME_PARTS, written.split("^"), strict=False):
                if text:
                    ET.SubElement(group, part).text = text.translate(_NOT_XML)
    else:
        ET.SubElement(attribute, "Value", {"number": number}).text = str(value).translate(_NOT_XML)
