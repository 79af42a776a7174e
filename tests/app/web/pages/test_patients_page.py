"""The page on which an administrator deletes a patient, in a browser without scripts."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from app.blobs import Blobs
from app.commands.deletion_again import proof_in
from app.commands.deletion_proof import proof_of
from app.domain.roles import Role
from app.records import AuditEvent, Deletion, Study
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import ACCEPT, get, hidden, post, words
from tests.builders import a_dicom, admit, an_admitted_study

REASON = "Request 17 of 2026"


def _patients() -> list[str]:
    with transaction() as session:
        return sorted(session.scalars(select(Study.patient_id)))


def test_an_administrator_sees_what_goes_says_why_and_deletes(browser: Browser, blobs: Blobs) -> None:
    for patient in ("P-SECRET-1", "P-SECRET-1", "P-2"):
        an_admitted_study(blobs, patient_id=patient)
    ada = browser("ada", Role.ADMINISTRATOR)
    form = get(ada, "/site/patients")
    assert "/site/patients" in get(ada, "/site")
    shown = post(ada, "/site/patients", form, patient_id="P-SECRET-1").text
    assert "Studies 2 Images 2" in words(shown)
    asked = {"patient_id": "P-SECRET-1", "seen": hidden(shown, "seen"), "reason": REASON}
    unsure = post(ada, "/site/patients/delete", shown, **asked)
    assert (unsure.status_code, _patients()) == (422, ["P-2", "P-SECRET-1", "P-SECRET-1"])
    assert "Tick that you have seen what goes" in words(unsure.text)
    done = post(ada, "/site/patients/delete", shown, **asked, sure="1")
    assert (done.status_code, done.headers["location"]) == (303, "/site/patients?done=true")
    assert _patients() == ["P-2"]
    after = get(ada, done.headers["location"])
    assert f"ada {REASON} 2 2 Proof" in words(after)
    assert "P-SECRET-1" not in after
    with transaction() as session:
        [deletion] = session.scalars(select(Deletion))
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "patient.deleted")).one()
        proof = proof_of(deletion)
    assert (deletion.deleted_by_name, event.actor_name) == ("ada", "ada")
    assert f"/site/patients/proofs/{deletion.id}" in after
    fetched = ada.get(f"/site/patients/proofs/{deletion.id}")
    assert fetched.json() == proof
    assert proof_in(fetched.text).studies
    assert ada.get(f"/site/patients/proofs/{UUID(int=1)}").status_code == 404


def test_the_one_without_an_issuer_is_named_by_a_tick(browser: Browser, blobs: Blobs) -> None:
    for issuer in ("NORTH", ""):
        with transaction() as session:
            admit(session, blobs, a_dicom(tags={"PatientID": "7", "IssuerOfPatientID": issuer}))
    ada = browser("ada", Role.ADMINISTRATOR)
    form = get(ada, "/site/patients")
    several = post(ada, "/site/patients", form, patient_id="7")
    assert (several.status_code, "from several issuers" in words(several.text)) == (422, True)
    both = post(ada, "/site/patients", form, patient_id="7", issuer="NORTH", no_issuer="1")
    assert "Either name the issuer or tick that there is none." in words(both.text)
    shown = post(ada, "/site/patients", form, patient_id="7", no_issuer="1").text
    assert "Studies 1 Images 1" in words(shown)
    asked = {"patient_id": "7", "no_issuer": hidden(shown, "no_issuer"), "reason": REASON}
    done = post(ada, "/site/patients/delete", shown, **asked, seen=hidden(shown, "seen"), sure="1")
    assert done.status_code == 303
    with transaction() as session:
        assert session.scalars(select(Study.issuer_of_patient_id)).all() == ["NORTH"]


def test_what_cannot_be_deleted_is_said_on_the_page_with_what_was_typed(
    browser: Browser, blobs: Blobs
) -> None:
    an_admitted_study(blobs, patient_id="P-1")
    ada = browser("ada", Role.ADMINISTRATOR)
    form = get(ada, "/site/patients")
    for address in ("/site/patients", "/site/patients/delete"):
        nobody = post(ada, address, form, patient_id="P-9", sure="1", reason=REASON, seen="")
        assert nobody.status_code == 404
        assert "No study here is of that patient." in words(nobody.text)
        assert 'value="P-9"' in nobody.text
    stale = post(ada, "/site/patients/delete", form, patient_id="P-1", sure="1", reason=REASON, seen="other")
    assert stale.status_code == 409
    assert "has changed since you looked" in words(stale.text)
    assert f'value="{REASON}"' in stale.text
    naming = post(
        ada,
        "/site/patients/delete",
        form,
        patient_id="P-1",
        sure="1",
        reason="of P-1",
        seen=hidden(stale.text, "seen"),
    )
    assert naming.status_code == 422
    assert "The reason names the patient" in words(naming.text)
    assert _patients() == ["P-1"]


def test_nobody_but_an_administrator_deletes(browser: Browser, blobs: Blobs) -> None:
    an_admitted_study(blobs, patient_id="P-1")
    for number, role in enumerate(set(Role) - {Role.ADMINISTRATOR}):
        other = browser(f"other{number}", role)
        assert other.get("/site/patients", headers=ACCEPT).status_code == 403
        page = get(other, "/account")
        for address in ("/site/patients", "/site/patients/delete"):
            assert post(other, address, page, patient_id="P-1", sure="1", reason="x").status_code == 403
    assert _patients() == ["P-1"]
