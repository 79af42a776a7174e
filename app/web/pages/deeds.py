"""What the actions of the audit trail mean, in words. The codes themselves are English in every language: the
trail is searched by them.
"""

from __future__ import annotations

from typing import Any

from app.language import N_, SOURCE, current, translated
from app.queries.audit import HIDDEN
from app.told import told

DEEDS = {
    "audit.exported": N_("audit trail given out"),
    "audit.patient-asked": N_("who saw a patient’s studies, asked"),
    "audit.verified": N_("audit trail verified"),
    "blobs.orphaned": N_("stored files that nothing names found"),
    "bundle.export-asked": N_("export of a network asked for"),
    "bundle.export-fetched": N_("exported network fetched"),
    "bundle.exported": N_("network exported"),
    "bundle.promoted": N_("network put into use"),
    "bundle.registered": N_("bundle registered"),
    "evaluation.asked": N_("evaluation of a network asked for"),
    "evaluation.cancelled": N_("evaluation of a network cancelled"),
    "evaluation.failed": N_("evaluation of a network failed"),
    "evaluation.refused": N_("evaluation of a network refused"),
    "locked-test.used": N_("locked test used"),
    "promotion.approved": N_("promotion approved"),
    "promotion.declined": N_("promotion declined"),
    "promotion.proposed": N_("promotion proposed"),
    "promotion.withdrawn": N_("proposal of a promotion withdrawn"),
    "shadow.begun": N_("shadow run begun"),
    "shadow.ended": N_("shadow run ended"),
    "shadow.read": N_("read in shadow"),
    "site.promotion-people-set": N_("number of people for a promotion set"),
    "conflict.resolved": N_("conflict of identity resolved"),
    "dataset.abandoned": N_("dataset abandoned"),
    "dataset.begun": N_("dataset begun"),
    "dataset.file-left-out": N_("file of a dataset left out"),
    "dataset.files-received": N_("files of a dataset received"),
    "dataset.inspected": N_("dataset inspected"),
    "dataset.kept-in-one-split": N_("patients of a dataset kept in one split"),
    "dataset.label-set-right": N_("label in a dataset set right"),
    "dataset.withheld-taken-in": N_("withheld pictures of a dataset taken in"),
    "delivery.dead": N_("delivery given up"),
    "delivery.delivered": N_("result delivered"),
    "delivery.resent": N_("delivery sent again"),
    "destination.added": N_("destination added"),
    "destination.disabled": N_("destination disabled"),
    "image.admitted": N_("image admitted"),
    "image.header-revised": N_("image with a revised header"),
    "key.added": N_("API key made"),
    "key.revoked": N_("API key revoked"),
    "network.tried": N_("network tried on a file"),
    "network.looked-inside": N_("looked inside the network"),
    "patient.deleted": N_("patient deleted"),
    "patient.deletion-considered": N_("what deleting a patient would take along, asked"),
    "retention.applied": N_("studies whose time was over deleted"),
    "retention.held": N_("deleting studies whose time is over held for a week: unsure of the clock"),
    "refused": N_("request refused"),
    "second-opinion.asked": N_("second opinion asked for"),
    "second-opinion.given": N_("second opinion given"),
    "second-opinion.verdict-shown": N_("verdicts of others shown before one's own"),
    "second-opinion.withdrawn": N_("question for a second opinion withdrawn"),
    "site.backed-up": N_("backup of the site begun"),
    "site.backup-whole": N_("site backed up"),
    "site.blind-share-set": N_("share of blind reads set"),
    "site.restored": N_("site brought back from a backup"),
    "snapshot.export-asked": N_("export without patients asked for"),
    "snapshot.export-fetched": N_("export without patients fetched"),
    "snapshot.exported": N_("export without patients made"),
    "snapshot.images-deleted": N_("images of a deleted patient taken out of a snapshot"),
    "snapshot.manifest-fetched": N_("manifest of a snapshot fetched"),
    "snapshot.taken": N_("snapshot taken"),
    "studies.searched": N_("studies searched"),
    "study.adjudicated": N_("study adjudicated"),
    "study.amended": N_("study amended"),
    "study.asked-again": N_("study sent once more and heard"),
    "study.claim-expired": N_("claim expired"),
    "study.claimed": N_("study claimed"),
    "study.deleted": N_("study deleted"),
    "study.failed": N_("screening failed"),
    "study.released": N_("study released"),
    "study.reopened": N_("study reopened"),
    "study.retry-asked": N_("screening asked for again"),
    "study.screened": N_("study read by the network"),
    "study.screening": N_("screening begun"),
    "study.screening-abandoned": N_("screening given back"),
    "study.sent-ahead": N_("study sent ahead to its reader"),
    "study.signature-withdrawn": N_("signature taken back"),
    "study.signed": N_("study signed"),
    "study.similar-asked": N_("similar cases asked for"),
    "study.taken-over": N_("study taken over"),
    "study.viewed": N_("study viewed"),
    "study.withheld": N_("study withheld from the network"),
    "job.asked": N_("work for the training worker asked for"),
    "job.cancel-asked": N_("its cancelling asked for"),
    "job.done": N_("work of the training worker done"),
    "job.refused": N_("work of the training worker refused"),
    "job.failed": N_("work of the training worker failed"),
    "job.cancelled": N_("work of the training worker cancelled"),
    "retraining.came-to-nothing": N_("training could not begin by itself"),
    "site.retraining-planned": N_("when training begins by itself, chosen"),
    "training.asked": N_("training asked for"),
    "training.done": N_("training done"),
    "training.refused": N_("training refused"),
    "training.failed": N_("training failed"),
    "training.cancelled": N_("training cancelled"),
    "site.second-factor-required": N_("roles that need a second factor chosen"),
    "user.added": N_("person added"),
    "user.disabled": N_("account disabled"),
    "user.enabled": N_("account enabled"),
    "user.linked": N_("account linked to the provider"),
    "user.locked-out": N_("account locked after wrong answers"),
    "user.opinion-hidden": N_("reads blind by choice from now on"),
    "user.opinion-shown": N_("reads blind by choice no longer"),
    "user.password-changed": N_("password changed"),
    "user.password-reset": N_("password made anew"),
    "user.recovery-codes-renewed": N_("recovery codes made anew"),
    "user.roles-set": N_("roles set"),
    "user.second-factor-removed": N_("second factor removed"),
    "user.second-factor-reset": N_("second factor reset by an administrator"),
    "user.second-factor-set": N_("second factor set up"),
    "user.sessions-ended": N_("sessions ended"),
    "user.signed-in": N_("signed in"),
    "user.signed-out": N_("signed out"),
    "user.unlocked": N_("account unlocked"),
}


def deed(action: str) -> str:
    """What it means, for readers of another language than the code's; empty for English readers."""
    return "" if current() == SOURCE else translated(DEEDS.get(action, ""))


_OURS = {("study.failed", "reason"), ("study.withheld", "reason"), ("study.reopened", "reason")}
"""Details that are sentences of ours. All others are what was recorded: names, codes, what somebody wrote."""


def detail(value: Any, action: str, name: str) -> Any:
    """A detail of the trail as it was recorded; a sentence of ours in the reader's language."""
    ours = (action, name) in _OURS or value == HIDDEN
    return told(value) if ours and isinstance(value, str) else value
