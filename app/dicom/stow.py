"""The dataset with which STOW-RS answers (PS3.18 10.5.3, tables 10.5.3-1 and I.2), as DICOM JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.dicom.attributes import JsonObject

_FAILED_SOPS, _REFERENCED_SOPS, _OTHER_FAILURES = "00081198", "00081199", "0008119A"


@dataclass(frozen=True, kw_only=True)
class StoredInstance:
    """An instance that is safe here; `warning_reason` is (0008,1196), where there is something to warn of."""

    sop_class_uid: str
    sop_instance_uid: str
    retrieve_url: str
    warning_reason: int | None = None


@dataclass(frozen=True, kw_only=True)
class FailedInstance:
    """An instance that was refused with its FailureReason (0008,1197); UIDs are None where none could be
    read.
    """

    failure_reason: int
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None


def stow_answer(
    *, retrieve_url: str | None, stored: Iterable[StoredInstance], failed: Iterable[FailedInstance]
) -> JsonObject:
    """The answer's dataset; sequences that would be empty are left out, and failures without UIDs are
    "other".
    """
    answer: JsonObject = {}
    if retrieve_url is not None:
        answer["00081190"] = _one("UR", retrieve_url)
    named, unnamed = [], []
    for instance in failed:
        reason = {"00081197": _one("US", instance.failure_reason)}
        if instance.sop_instance_uid is None:
            unnamed.append(reason)
        else:
            named.append(_reference(instance.sop_class_uid, instance.sop_instance_uid) | reason)
    referenced = []
    for kept in stored:
        item = {"00081190": _one("UR", kept.retrieve_url)}
        if kept.warning_reason is not None:
            item["00081196"] = _one("US", kept.warning_reason)
        referenced.append(_reference(kept.sop_class_uid, kept.sop_instance_uid) | item)
    for tag, items in ((_FAILED_SOPS, named), (_REFERENCED_SOPS, referenced), (_OTHER_FAILURES, unnamed)):
        if items:
            answer[tag] = {"vr": "SQ", "Value": [dict(sorted(item.items())) for item in items]}
    return answer


def _reference(sop_class_uid: str | None, sop_instance_uid: str) -> JsonObject:
    sop_class = {"vr": "UI"} if sop_class_uid is None else _one("UI", sop_class_uid)
    return {"00081150": sop_class, "00081155": _one("UI", sop_instance_uid)}


def _one(vr: str, value: str | int) -> JsonObject:
    return {"vr": vr, "Value": [value]}
