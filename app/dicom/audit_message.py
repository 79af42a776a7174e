"""Audit messages as DICOM has them: the XML of PS3.15 A.5.1, which comes from RFC 3881.

By default a study is named by our own id, which leads to a patient only while the study is stored here. Where
the site asks for identified messages, StudyInstanceUID and PatientID stand there, as PS3.15 A.5.3 has it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from uuid import UUID
from xml.etree.ElementTree import Element, SubElement, tostring

from app.dicom import audit_codes as codes
from app.dicom.audit_codes import Code

KIND = "DICOM+RFC3881"
"""MSGID of a syslog message that carries one (PS3.15 A.6)."""
_LONGEST_DETAILS = 8192
"""Bytes; longer details are left out, so that a message fits into a datagram."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PERSON, _SYSTEM = "1", "2"
_PATIENT, _REPORT, _SECURITY_USER, _SECURITY_RESOURCE = "1", "3", "11", "13"
_MACHINE_NAME, _IP_ADDRESS = "1", "2"
_APPLICATION_SERVER = "4"
_SENDS = {codes.TRANSFERRED: True, codes.IMPORT: True, codes.EXPORT: False}
"""Events that move something: whether whoever caused it is the source, or the destination."""
_ACCOUNTS = ("user", "key")


@dataclass(frozen=True, kw_only=True)
class AuditedEvent:
    """An audit event; `identified` holds StudyInstanceUID, PatientID and issuer where they are to be told."""

    id: int
    at: datetime
    action: str
    actor_kind: str
    actor_id: UUID | None
    actor_name: str
    address: str | None
    study_id: UUID | None
    subject_id: str | None
    details: Mapping[str, Any]
    count: int
    identified: tuple[str, str, str] | None = None


def outcome(event: AuditedEvent) -> str:
    """0 success, 4 minor, 8 serious failure."""
    return _meaning(event).outcome


def xml(event: AuditedEvent, *, site: str, host: str) -> str:
    """The message as one line, without a declaration."""
    message = Element("AuditMessage")
    _identify_event(message, event)
    _add_participants(message, event, host=host)
    source = SubElement(message, "AuditSourceIdentification", AuditEnterpriseSiteID=site, AuditSourceID=host)
    SubElement(source, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    _add_objects(message, event)
    for element in message.iter():
        for name, value in element.attrib.items():
            element.set(name, _NOT_XML.sub("\ufffd", value))
        element.text = _NOT_XML.sub("\ufffd", element.text) if element.text else None
    return tostring(message, encoding="unicode").replace("\n", "&#10;")


def _meaning(event: AuditedEvent) -> codes.Meaning:
    return codes.meaning(event.action, named="username" in event.details)


def _identify_event(message: Element, event: AuditedEvent) -> None:
    means = _meaning(event)
    identification = SubElement(
        message,
        "EventIdentification",
        EventActionCode=means.does,
        EventDateTime=event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        EventOutcomeIndicator=means.outcome,
    )
    _coded(identification, "EventID", means.event)
    if means.kind is not None:
        _coded(identification, "EventTypeCode", means.kind)
    _coded(identification, "EventTypeCode", _own(event.action))


def _add_participants(message: Element, event: AuditedEvent, *, host: str) -> None:
    caused = SubElement(message, "ActiveParticipant", UserID=event.actor_name, UserIsRequestor="true")
    if event.actor_id is not None:
        caused.set("AlternativeUserID", str(event.actor_id))
    if event.address:
        caused.set("NetworkAccessPointID", event.address)
        caused.set("NetworkAccessPointTypeCode", _access_point(event.address))
    service = SubElement(
        message,
        "ActiveParticipant",
        UserID="FirstRead",
        UserIsRequestor="false",
        NetworkAccessPointID=host,
        NetworkAccessPointTypeCode=_MACHINE_NAME,
    )
    sends = _SENDS.get(_meaning(event).event)
    if sends is not None:
        _coded(caused, "RoleIDCode", codes.SOURCE if sends else codes.DESTINATION)
        _coded(service, "RoleIDCode", codes.DESTINATION if sends else codes.SOURCE)
    elif event.actor_kind != "user":
        _coded(caused, "RoleIDCode", codes.APPLICATION)
    _coded(service, "RoleIDCode", codes.APPLICATION)


def _add_objects(message: Element, event: AuditedEvent) -> None:
    if _meaning(event).event == codes.AUDIT_LOG_USED:
        _object(message, "urn:firstread:audit", codes.URI, name="Security Audit Log", role=_SECURITY_RESOURCE)
    if event.study_id is not None:
        own = (str(event.study_id), _own("study-id"))
        study_uid, patient_id, issuer = event.identified or ("", "", "")
        id_, type_code = (study_uid, codes.STUDY_INSTANCE_UID) if study_uid else own
        _tell_details(_object(message, id_, type_code, name=str(event.study_id), role=_REPORT), event)
        if event.identified is not None:
            patient = f"{patient_id}^^^{issuer}" if issuer else patient_id
            _object(message, patient, codes.PATIENT_NUMBER, name=patient, role=_PATIENT, is_person=True)
    if event.subject_id or event.study_id is None:
        about = event.action.partition(".")[0]
        account = about in _ACCOUNTS
        _tell_details(
            _object(
                message,
                event.subject_id or str(event.id),
                (codes.USER_IDENTIFIER if account else _own(f"{about}-id"))
                if event.subject_id
                else _own("event-id"),
                name=about,
                role=_SECURITY_USER if account else None,
                is_person=about == "user",
            ),
            event if event.study_id is None else None,
        )


def _object(
    message: Element, id_: str, id_type: Code, *, name: str, role: str | None, is_person: bool = False
) -> Element:
    found = SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=id_,
        ParticipantObjectTypeCode=_PERSON if is_person else _SYSTEM,
    )
    if role is not None:
        found.set("ParticipantObjectTypeCodeRole", role)
    _coded(found, "ParticipantObjectIDTypeCode", id_type)
    SubElement(found, "ParticipantObjectName").text = name
    return found


def _tell_details(found: Element, event: AuditedEvent | None) -> None:
    if event is None:
        return
    told = {"event-id": str(event.id), "count": str(event.count)}
    if event.details:
        told["details"] = json.dumps(dict(event.details), ensure_ascii=False, sort_keys=True)
    for name, value in told.items():
        octets = value.encode("utf-8", "replace")
        if len(octets) <= _LONGEST_DETAILS:
            encoded = base64.b64encode(octets).decode()
            SubElement(found, "ParticipantObjectDetail", type=name, value=encoded)


def _coded(parent: Element, name: str, code: Code) -> None:
    SubElement(
        parent,
        name,
        {
            "csd-code": code.value,
            "codeSystemName": code.scheme,
            "displayName": code.meaning,
            "originalText": code.meaning,
        },
    )


def _own(value: str) -> Code:
    return Code(value=value, scheme=codes.OURS, meaning=value)


def _access_point(address: str) -> str:
    try:
        ip_address(address)
    except ValueError:
        return _MACHINE_NAME
    return _IP_ADDRESS
