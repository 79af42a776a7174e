"""What became of it all: the database and the stored bytes, held against what the outside was told."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.faults.ledger import Ledger
from tests.faults.service import Service

_AUDITED_AS = {
    "rest": "faults intake",
    "stow": "faults intake",
    "browser": "admin",
    "dimse": "FAULTS",
    "nobody": "anonymous",
}
"""Who stands in the audit trail, by way in."""
_FLOOD, _FLOOD_SECONDS = 10, 61.0
"""So many refusals of one caller for one reason in so long a time, and further ones may share a row."""
_COUNTED_SECONDS = 70.0
"""So long after it a refusal is in the count of a row."""
_KILL_SECONDS = 10.0
"""An answer so long after a kill is of a refusal after it, whoever was frozen meanwhile."""
_SETTLED = ("screened", "withheld", "failed", "claimed", "signed", "amended")


@dataclass
class Verdict:
    """`broken` holds a sentence for each promise that was not kept; `found` the figures of the table."""

    broken: list[str] = field(default_factory=list)
    found: dict[str, int] = field(default_factory=dict)

    def must_be_none(self, what: str, wrong: list[str]) -> None:
        self.found[what] = len(wrong)
        if wrong:
            self.broken.append(f"{what}: {len(wrong)}, such as {sorted(wrong)[:3]}")


def unsettled(service: Service) -> Counter[str]:
    """Studies without their reading by their state, and deliveries still to be made; empty at rest."""
    states = ", ".join(f"'{state}'" for state in _SETTLED)
    studies = service.rows(
        f"SELECT state, count(*) FROM studies WHERE screening_due OR state NOT IN ({states}) GROUP BY state"
    )
    [(letters,)] = service.rows("SELECT count(*) FROM deliveries WHERE state = 'pending'")
    return +Counter(
        {f"studies {state}": int(count) for state, count in studies} | {"deliveries": int(letters)}
    )


def judge(service: Service, ledger: Ledger, *, last_kill: dict[str, float]) -> Verdict:
    """Everything settled is looked at once, with no fault any more; `last_kill` is told by part."""
    verdict = Verdict()
    _pictures(service, ledger, verdict)
    _refusals(service, ledger, verdict)
    _counts(service, ledger, verdict, last_kill)
    _readings(service, verdict)
    _reviews(service, ledger, verdict)
    _deliveries(service, ledger, verdict)
    _promotions(service, ledger, verdict)
    return verdict


def _pictures(service: Service, ledger: Ledger, verdict: Verdict) -> None:
    rows = service.rows("SELECT sha256, study_id::text, id::text FROM images")
    times = Counter(sha256 for sha256, _, _ in rows)
    kept = {path.name for path in (service.up.home / "blobs" / "sha256").glob("??/*")}
    sent = ledger.sent
    acknowledged = [sha256 for sha256, story in sent.items() if story.acknowledged]
    forbidden = {sha256 for sha256, story in sent.items() if not story.good or story.door == "nobody"}
    unknown = [sha256 for sha256 in sent if not sent[sha256].acknowledged and sha256 not in forbidden]

    verdict.must_be_none("clients that broke", ledger.broken)
    verdict.must_be_none("lost: no record", [sha256 for sha256 in acknowledged if sha256 not in times])
    verdict.must_be_none("lost: no bytes, or others", [s for s in times if not _intact(service, s)])
    verdict.must_be_none("twice: images", [sha256 for sha256, count in times.items() if count > 1])
    studies = Counter(study for _, study, _ in rows)
    verdict.must_be_none("twice: studies", [study for study, count in studies.items() if count > 1])
    bare = service.rows(
        "SELECT id::text FROM studies s WHERE NOT EXISTS (SELECT FROM images WHERE study_id = s.id)"
    )
    verdict.must_be_none("half stored: studies without an image", [study for (study,) in bare])
    verdict.must_be_none("refused and yet recorded", [s for s in forbidden if s in times])
    verdict.must_be_none("refused and yet bytes kept", [s for s in forbidden if s in kept])
    verdict.must_be_none("good and yet refused", [s for s in sent if sent[s].refused and s not in forbidden])
    verdict.must_be_none("recorded and never sent", [s for s in times if s not in sent])
    verdict.found["never answered with success, there once"] = sum(s in times for s in unknown)
    verdict.found["never answered with success, not there"] = sum(s not in times for s in unknown)
    verdict.found["bytes without a record"] = sum(s in kept for s in unknown if s not in times)
    incoming = list((service.up.home / "blobs" / "incoming").iterdir())
    verdict.found["staged files left by kills, for the daily sweep"] = len(incoming)
    told = Counter(
        subject
        for (subject,) in service.rows("SELECT subject_id FROM audit_events WHERE action = 'image.admitted'")
    )
    images = {image for _, _, image in rows}
    verdict.must_be_none("admitted without its one audit row", [i for i in images if told[i] != 1])
    verdict.must_be_none("audited and not there", [i for i in told if i not in images])
    actions = service.rows(
        "SELECT action, details->>'sha256' FROM audit_events WHERE details->>'sha256' IS NOT NULL"
    )
    verdict.must_be_none(
        "refused and audited as more", [s for a, s in actions if s in forbidden and a != "refused"]
    )


def _refusals(service: Service, ledger: Ledger, verdict: Verdict) -> None:
    """Each has its row, but for those of a flood, which share one once their minute is over, and those that
    the database could not take, each of which the log tells of.
    """
    rows = service.rows(
        "SELECT details->>'sha256', actor_name, details->>'reason', extract(epoch FROM at)::float8, count"
        " FROM audit_events WHERE action = 'refused'"
    )

    def in_a_flood(by: str, at: float) -> bool:
        before = Counter(
            reason for _, name, reason, row_at, _ in rows if name == by and 0 <= at - row_at <= _FLOOD_SECONDS
        )
        return any(count >= _FLOOD for count in before.values())

    told = {sha256 for sha256, *_ in rows}
    refused = {
        s: (story.door, story.refused_at) for s, story in ledger.sent.items() if story.refused_at is not None
    }
    alone = {s for s, (door, at) in refused.items() if not in_a_flood(_AUDITED_AS[door], at)}
    strangers = {s for s, (door, _) in refused.items() if door == service.nobody.name}
    untold = sorted(alone - strangers - told)
    # whose key opens nothing is refused before anything is read: one row for a request, which names no file
    nobody = _AUDITED_AS[service.nobody.name]
    counted = sum(count for _, name, _, _, count in rows if name == nobody)
    unread = ledger.counts["answered 401"] - counted - len(strangers - alone)
    untold += ["with a key that opens nothing"] * unread
    logs = list(service.up.home.glob("log/*"))
    assert logs, "nothing would tell of a database that could take no row"
    silent = sum(log.read_bytes().count(b"refusal_not_audited") for log in logs)
    verdict.found["refusals of a flood"] = len(refused) - len(alone)
    verdict.found["refusals that the database could not take, told by the log"] = silent
    verdict.must_be_none("refused without an audit row", untold[silent:])


def _counts(service: Service, ledger: Ledger, verdict: Verdict, last_kill: dict[str, float]) -> None:
    """What a process had counted when it was killed is lost with it; each file that was refused since must be
    in the count of a row. One that was refused twice, or before and counted since, can hide one that is not.
    """
    refused = [
        (_AUDITED_AS[story.door], story.refused_at)
        for story in ledger.sent.values()
        if story.refused_at is not None and story.door != service.nobody.name
    ]
    since = {
        by: last_kill.get("DICOM listener" if door == "dimse" else "web server", 0.0) + _KILL_SECONDS
        for door, by in _AUDITED_AS.items()
    }
    must = Counter(by for by, at in refused if at > since[by])
    by_then = max((at for _, at in refused), default=0.0) + _COUNTED_SECONDS
    while True:
        rows = service.rows(
            "SELECT actor_name, extract(epoch FROM at)::float8, count FROM audit_events"
            " WHERE action = 'refused' AND details->>'reason' IN (SELECT details->>'reason' FROM audit_events"
            " WHERE action = 'refused' AND details->>'sha256' IS NOT NULL)"
        )
        counted, ever = Counter[str](), Counter[str]()
        for by, at, count in rows:
            ever[by] += count
            counted[by] += count if at > since.get(by, 0.0) else 0
        missing = must - counted
        if not missing or time.time() > by_then:
            break
        time.sleep(1.0)
    verdict.found["refused files since the last kill"] = must.total()
    lost = Counter(by for by, _ in refused) - ever
    verdict.found["refused files in no row's count, in all"] = lost.total()
    verdict.must_be_none("refused since the last kill and in no row's count", list(missing.elements()))


def _intact(service: Service, sha256: str) -> bool:
    path = service.up.home / "blobs" / "sha256" / sha256[:2] / sha256
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _readings(service: Service, verdict: Verdict) -> None:
    rows = service.rows("SELECT s.id::text, s.state, count(r.id) FROM studies s LEFT JOIN readings r"
                        " ON r.study_id = s.id GROUP BY s.id")  # fmt: skip
    verdict.must_be_none("never read", [study for study, _, count in rows if count == 0])
    verdict.must_be_none("twice: readings", [study for study, _, count in rows if count > 1])
    for outcome, count in service.rows("SELECT outcome, count(*) FROM readings GROUP BY outcome"):
        verdict.found[f"readings: {outcome}"] = int(count)


def _reviews(service: Service, ledger: Ledger, verdict: Verdict) -> None:
    there = dict(service.rows("SELECT id::text, study_id::text FROM reviews"))
    lost = [review for review, study in ledger.signed.items() if there.get(review) != study]
    verdict.must_be_none("signatures lost", lost)
    per_study = Counter(there.values())
    verdict.must_be_none("signatures twice", [study for study, count in per_study.items() if count > 1])
    asked = set(ledger.signed.values()) | set(ledger.signing)
    verdict.must_be_none("signatures nobody gave", [study for study in per_study if study not in asked])
    signed = {
        study
        for (study,) in service.rows("SELECT id::text FROM studies WHERE state IN ('signed', 'amended')")
    }
    verdict.must_be_none(
        "signed and not in that state", [study for study in per_study if study not in signed]
    )
    verdict.found["signatures acknowledged"] = len(ledger.signed)
    verdict.found["signatures never answered, there"] = len(set(there) - set(ledger.signed))


def _deliveries(service: Service, ledger: Ledger, verdict: Verdict) -> None:
    rows = service.rows("SELECT id::text, state, review_id::text, study_id::text FROM deliveries")
    done = {name for name, state, _, _ in rows if state == "delivered"}
    verdict.must_be_none(
        "delivered and never received", [name for name in done if name not in ledger.delivered]
    )
    verdict.must_be_none("never delivered", [name for name, *_ in rows if name not in done])
    reviews = {review for _, _, review, _ in rows}
    verdict.must_be_none("signatures without a delivery", [r for r in ledger.signed if r not in reviews])
    readings = Counter(study for _, _, review, study in rows if review is None)
    studies = [study for (study,) in service.rows("SELECT id::text FROM studies")]
    verdict.must_be_none("readings without their one delivery", [s for s in studies if readings[s] != 1])
    verdict.found["deliveries made"] = len(done)
    again = sum(times - 1 for times in ledger.delivered.values())
    verdict.found["deliveries that came again, told by their id"] = again


def _promotions(service: Service, ledger: Ledger, verdict: Verdict) -> None:
    rows = service.rows("SELECT bundle_sha256 FROM promotions WHERE kind = 'rollback' ORDER BY sequence")
    there = [sha256 for (sha256,) in rows]
    verdict.must_be_none("promotions lost", [sha256 for sha256 in ledger.gone_back if sha256 not in there])
    verdict.must_be_none("promotions twice", [sha256 for sha256 in there if there.count(sha256) > 1])
    verdict.must_be_none("promotions nobody asked for", [s for s in there if s not in ledger.going_back])
    in_turn = [sha256 for sha256 in ledger.going_back if sha256 in there]
    verdict.must_be_none("promotions out of turn", [] if there == in_turn else there)
    told = service.rows("SELECT subject_id FROM audit_events WHERE action = 'bundle.promoted'")
    unaudited = Counter(there) - Counter(sha256 for (sha256,) in told)
    verdict.must_be_none("promotions without their audit row", list(unaudited))
    verdict.found["promotions acknowledged"] = len(ledger.gone_back)
    read = service.rows("SELECT DISTINCT bundle_sha256 FROM readings WHERE bundle_sha256 IS NOT NULL")
    verdict.found["bundles that read"] = len(read)
