"""What our audit actions are as DICOM audit events: one table, with the codes of PS3.15 A.5 and PS3.16.

DICOM has no event for the work on networks and datasets; those have a code of our own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Code:
    """A coded value: `scheme` is DCM, RFC-3881 or ours."""

    value: str
    scheme: str
    meaning: str


def _dcm(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="DCM", meaning=meaning)


OURS = "FirstRead"

# PS3.16 CID 400: events
AUDIT_LOG_USED = _dcm("110101", "Audit Log Used")
ACCESSED = _dcm("110103", "DICOM Instances Accessed")
TRANSFERRED = _dcm("110104", "DICOM Instances Transferred")
DELETED = _dcm("110105", "DICOM Study Deleted")
EXPORT = _dcm("110106", "Export")
IMPORT = _dcm("110107", "Import")
PATIENT_RECORD = _dcm("110110", "Patient Record")
PROCEDURE_RECORD = _dcm("110111", "Procedure Record")
QUERY = _dcm("110112", "Query")
SECURITY_ALERT = _dcm("110113", "Security Alert")
AUTHENTICATION = _dcm("110114", "User Authentication")
LEARNING = Code(value="learning", scheme=OURS, meaning="Networks and datasets")

# PS3.16 CID 401: kinds of events
LOGIN = _dcm("110122", "Login")
LOGOUT = _dcm("110123", "Logout")
NETWORK_CONFIGURATION = _dcm("110128", "Network Configuration")
SECURITY_CONFIGURATION = _dcm("110129", "Security Configuration")
SOFTWARE_CONFIGURATION = _dcm("110131", "Software Configuration")
RESTRICTED = _dcm("110132", "Use of Restricted Function")
ROLES_CHANGED = _dcm("110136", "Security Roles Changed")
USER_CHANGED = _dcm("110137", "User Security Attributes Changed")

# PS3.16 CID 402: what a participant does
APPLICATION = _dcm("110150", "Application")
DESTINATION = _dcm("110152", "Destination Role ID")
SOURCE = _dcm("110153", "Source Role ID")

# What identifies an object
STUDY_INSTANCE_UID = _dcm("110180", "Study Instance UID")
PATIENT_NUMBER = Code(value="2", scheme="RFC-3881", meaning="Patient Number")
USER_IDENTIFIER = Code(value="11", scheme="RFC-3881", meaning="User Identifier")
URI = Code(value="12", scheme="RFC-3881", meaning="URI")

SUCCESS, MINOR, SERIOUS = "0", "4", "8"
"""Outcomes."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What an action is in DICOM: which event, what is done (C, R, U, D, E), of which kind, how it went."""

    event: Code
    does: str
    kind: Code | None = None
    outcome: str = SUCCESS


def _means(event: Code, does: str, kind: Code | None = None, outcome: str = SUCCESS) -> Meaning:
    return Meaning(event=event, does=does, kind=kind, outcome=outcome)


_CONFIGURED = _means(SECURITY_ALERT, "E", SOFTWARE_CONFIGURATION)
_LEARNT = _means(LEARNING, "E")
_LEARNING_FAILED = _means(LEARNING, "E", None, MINOR)
_PERSON = _means(SECURITY_ALERT, "E", USER_CHANGED)
_PROCEDURE = _means(PROCEDURE_RECORD, "U")
_READ = _means(ACCESSED, "R")

MEANINGS: dict[str, Meaning] = {
    "audit.exported": _means(AUDIT_LOG_USED, "R"),
    "audit.patient-asked": _means(AUDIT_LOG_USED, "R"),
    "audit.verified": _means(AUDIT_LOG_USED, "R"),
    "blobs.orphaned": _CONFIGURED,
    "bundle.export-asked": _LEARNT,
    "bundle.export-fetched": _LEARNT,
    "bundle.exported": _LEARNT,
    "bundle.promoted": _CONFIGURED,
    "bundle.registered": _CONFIGURED,
    "conflict.resolved": _means(PATIENT_RECORD, "U"),
    "dataset.abandoned": _means(LEARNING, "D"),
    "dataset.begun": _means(LEARNING, "C"),
    "dataset.file-left-out": _means(LEARNING, "U"),
    "dataset.files-received": _means(IMPORT, "C"),
    "dataset.inspected": _LEARNT,
    "dataset.kept-in-one-split": _means(LEARNING, "U"),
    "dataset.label-set-right": _means(LEARNING, "U"),
    "dataset.withheld-taken-in": _means(LEARNING, "U"),
    "delivery.dead": _means(EXPORT, "R", None, SERIOUS),
    "delivery.delivered": _means(EXPORT, "R"),
    "delivery.resent": _means(EXPORT, "R"),
    "destination.added": _means(SECURITY_ALERT, "E", NETWORK_CONFIGURATION),
    "destination.disabled": _means(SECURITY_ALERT, "E", NETWORK_CONFIGURATION),
    "evaluation.asked": _LEARNT,
    "evaluation.cancelled": _LEARNT,
    "evaluation.failed": _LEARNING_FAILED,
    "evaluation.refused": _LEARNING_FAILED,
    "image.admitted": _means(TRANSFERRED, "C"),
    "image.header-revised": _means(TRANSFERRED, "U"),
    "job.asked": _LEARNT,
    "job.cancel-asked": _LEARNT,
    "job.cancelled": _LEARNT,
    "job.done": _LEARNT,
    "job.failed": _LEARNING_FAILED,
    "job.refused": _LEARNING_FAILED,
    "key.added": _PERSON,
    "key.revoked": _PERSON,
    "locked-test.used": _LEARNT,
    "network.looked-inside": _READ,
    "network.tried": _LEARNT,
    "patient.deleted": _means(PATIENT_RECORD, "D"),
    "patient.deletion-considered": _means(PATIENT_RECORD, "R"),
    "promotion.approved": _CONFIGURED,
    "promotion.declined": _CONFIGURED,
    "promotion.proposed": _CONFIGURED,
    "promotion.withdrawn": _CONFIGURED,
    "refused": _means(SECURITY_ALERT, "E", RESTRICTED, MINOR),
    "retention.applied": _means(PATIENT_RECORD, "D"),
    "retention.held": _CONFIGURED,
    "retraining.came-to-nothing": _LEARNING_FAILED,
    "second-opinion.asked": _PROCEDURE,
    "second-opinion.given": _PROCEDURE,
    "second-opinion.verdict-shown": _READ,
    "second-opinion.withdrawn": _PROCEDURE,
    "shadow.begun": _LEARNT,
    "shadow.ended": _LEARNT,
    "shadow.read": _LEARNT,
    "site.backed-up": _means(EXPORT, "R"),
    "site.backup-whole": _means(EXPORT, "R"),
    "site.blind-share-set": _CONFIGURED,
    "site.promotion-people-set": _means(SECURITY_ALERT, "E", SECURITY_CONFIGURATION),
    "site.restored": _means(IMPORT, "C"),
    "site.retraining-planned": _CONFIGURED,
    "site.second-factor-required": _means(SECURITY_ALERT, "E", SECURITY_CONFIGURATION),
    "snapshot.export-asked": _LEARNT,
    "snapshot.export-fetched": _means(EXPORT, "R"),
    "snapshot.exported": _LEARNT,
    "snapshot.images-deleted": _means(LEARNING, "D"),
    "snapshot.manifest-fetched": _means(EXPORT, "R"),
    "snapshot.taken": _means(LEARNING, "C"),
    "studies.searched": _means(QUERY, "E"),
    "study.adjudicated": _PROCEDURE,
    "study.amended": _PROCEDURE,
    "study.asked-again": _PROCEDURE,
    "study.claim-expired": _PROCEDURE,
    "study.claimed": _PROCEDURE,
    "study.deleted": _means(PROCEDURE_RECORD, "D"),
    "study.failed": _means(PROCEDURE_RECORD, "U", None, MINOR),
    "study.released": _PROCEDURE,
    "study.reopened": _PROCEDURE,
    "study.retry-asked": _PROCEDURE,
    "study.screened": _PROCEDURE,
    "study.screening": _PROCEDURE,
    "study.screening-abandoned": _means(PROCEDURE_RECORD, "U", None, MINOR),
    "study.sent-ahead": _READ,
    "study.signature-withdrawn": _PROCEDURE,
    "study.signed": _PROCEDURE,
    "study.similar-asked": _READ,
    "study.taken-over": _PROCEDURE,
    "study.viewed": _READ,
    "study.withheld": _PROCEDURE,
    "training.asked": _LEARNT,
    "training.cancelled": _LEARNT,
    "training.done": _LEARNT,
    "training.failed": _LEARNING_FAILED,
    "training.refused": _LEARNING_FAILED,
    "user.added": _PERSON,
    "user.disabled": _PERSON,
    "user.enabled": _PERSON,
    "user.linked": _PERSON,
    "user.locked-out": _means(AUTHENTICATION, "E", LOGIN, SERIOUS),
    "user.opinion-hidden": _CONFIGURED,
    "user.opinion-shown": _CONFIGURED,
    "user.password-changed": _PERSON,
    "user.password-reset": _PERSON,
    "user.recovery-codes-renewed": _PERSON,
    "user.roles-set": _means(SECURITY_ALERT, "E", ROLES_CHANGED),
    "user.second-factor-removed": _PERSON,
    "user.second-factor-reset": _PERSON,
    "user.second-factor-set": _PERSON,
    "user.sessions-ended": _PERSON,
    "user.signed-in": _means(AUTHENTICATION, "E", LOGIN),
    "user.signed-out": _means(AUTHENTICATION, "E", LOGOUT),
    "user.unlocked": _PERSON,
}

REFUSED_SIGN_IN = _means(AUTHENTICATION, "E", LOGIN, MINOR)
"""A `refused` whose details name whom somebody wanted to be."""
UNKNOWN = _means(SECURITY_ALERT, "E", RESTRICTED)
"""An action of another version of the program."""


def meaning(action: str, *, named: bool) -> Meaning:
    """What it is in DICOM; `named` where the details have a username."""
    return REFUSED_SIGN_IN if action == "refused" and named else MEANINGS.get(action, UNKNOWN)
