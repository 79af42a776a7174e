"""Every page as every role sees it, looked at by axe: WCAG 2.0, 2.1 and 2.2, levels A and AA, dark and light.

The pages come from the router: one without a line in `PAGES` fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import delivery, exporting, people, promotion, shadow, training
from app.commands.deletion_patient import PatientNamed
from app.commands.review import Statement
from app.domain.order import Lane
from app.domain.roles import SYSTEM, Actor, Permission, Role, Scope, permissions_of
from app.records import Delivery, Image, Job, Reading, ShadowReading, Study, User
from app.records.engine import transaction
from app.settings import settings
from app.web.layers import ask_of_image
from tests.app.commands.candidates import a_stored_bundle, an_evaluation
from tests.app.commands.labelled import a_dataset, patients, taken
from tests.app.commands.test_deletion import delete
from tests.app.web.test_layers import promoted
from tests.app.web.test_training import TOLD
from tests.browser.conftest import SignIn, Watch
from tests.browser.pages import hold_nothing, open_painted
from tests.builders import (
    BUNDLE,
    PASSWORD,
    a_key,
    a_screened_study,
    a_signed_study,
    a_study_with_a_lateral,
    a_user,
    an_admitted_study,
    sign,
)
from tests.test_permissions import SIGNED_IN, WHO_MAY, routes
from worker.count_snapshot import SnapshotCounter

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
NEEDS_AXE = "needs axe: pip install axe-playwright-python"
OPTIONS = {
    "runOnly": {"type": "tag", "values": TAGS},
    "resultTypes": ["violations"],
    "rules": {"target-size": {"enabled": True}},  # of WCAG 2.2, and off unless asked for
}
Deed = Callable[[Any], object]


@dataclass(frozen=True)
class Shown:
    """A page in one state: its address, what somebody does there first, and with what it answers."""

    address: str
    deed: Deed = lambda page: None
    status: tuple[int, ...] = (200,)


def press(key: str, then: str) -> Deed:
    """The key was pressed, and what it opens is there."""

    def deed(page: Any) -> None:
        page.keyboard.press(key)
        page.wait_for_selector(then)

    return deed


def correcting(page: Any) -> None:
    """The correction is open, where somebody may correct."""
    if page.locator("[data-correct]").count():
        page.keyboard.press("2")
        page.wait_for_selector("#correction[open]")


def filled_in(page: Any) -> None:
    """A correction was filled in and left, and the study has changed since."""
    if page.locator("#correct").count():
        page.evaluate("() => { document.getElementById('correction').open = true; }")
        page.fill("#comment", "Motion.")
        page.reload()
        page.wait_for_selector("#restored:visible")
        page.evaluate("() => { document.querySelector('[data-moved]').hidden = false; }")


def unfolded(page: Any) -> None:
    """Every part that can be folded is open."""
    page.evaluate("() => document.querySelectorAll('details').forEach((part) => { part.open = true; })")


def look_what_would_go(page: Any) -> None:
    """The administrator asked what a deletion of that patient would take along."""
    page.fill("#patient_id", "P7")
    page.click("form[action='/site/patients'] button")
    page.wait_for_selector("#reason")


def ask_what_it_would_hold(page: Any) -> None:
    """The duty worker has not counted yet."""
    page.click("form[action='/training/snapshots/looks'] button")
    page.wait_for_selector("#looking")


def look_what_it_would_hold(page: Any) -> None:
    """It has."""
    ask_what_it_would_hold(page)
    SnapshotCounter(blobs=Blobs(settings().blob_folder)).drain(stop=threading.Event())
    page.wait_for_selector("#name")


def begin_second_factor(page: Any) -> None:
    """The QR code and the secret are shown."""
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_selector(".qr svg")


HELP = press("?", "#help[open]")
PAGES: dict[str, tuple[Shown, ...]] = {
    "GET /": (
        Shown("/", unfolded),
        Shown("/", HELP),
        Shown("/?section=done"),
        Shown("/?lane=rule-in", unfolded),
        Shown("/?station=none"),
        Shown("/?signed={signed}"),
    ),
    "GET /account": (Shown("/account"),),
    "GET /account/second-factor": (
        Shown("/account/second-factor"),
        Shown("/account/second-factor", begin_second_factor),
    ),
    "GET /adjudication": (Shown("/adjudication"),),
    "GET /audit": (Shown("/audit"), Shown("/audit?study=nonsense", status=(422,))),
    "GET /audit/patient": (Shown("/audit/patient"),),
    "GET /conflicts": (Shown("/conflicts"),),
    "GET /destinations": (Shown("/destinations"),),
    "GET /docs": (),  # see `test_axe_objects_to_nothing_of_ours_around_swagger_ui`
    "GET /help": (Shown("/help"), Shown("/help?again=true")),
    "GET /models": (Shown("/models", unfolded),),
    "GET /models/{sha256}": (
        Shown("/models/{passing}"),
        Shown("/models/{failing}"),
        Shown("/models/{unjudged}"),
        Shown("/models/{active}"),
    ),
    "GET /models/{sha256}/export": (Shown("/models/{active}/export"),),
    "GET /models/{sha256}/shadow": (
        Shown("/models/{passing}/shadow"),
        Shown("/models/{failing}/shadow"),
        Shown("/models/{active}/shadow"),
    ),
    "GET /models/layers": (Shown("/models/layers"), Shown("/models/layers?study={screened}")),
    "GET /models/layers/{look_id}": (Shown("/models/layers/{look}"),),
    "GET /password": (Shown("/password"),),
    "GET /people": (Shown("/people"),),
    "GET /second-opinions": (Shown("/second-opinions"), Shown("/second-opinions?side=answered")),
    "GET /site": (Shown("/site"), Shown("/site?changed=true")),
    "GET /site/patients": (
        Shown("/site/patients", look_what_would_go),
        Shown("/site/patients?done=true"),
    ),
    "GET /sign-in": (Shown("/sign-in"), Shown("/sign-in?next=/people")),
    "GET /status": (Shown("/status"),),
    "GET /studies/{study_id}": (
        Shown("/studies/{screened}"),
        Shown("/studies/{screened}", correcting),
        Shown("/studies/{screened}", HELP),
        Shown("/studies/{screened}?signed={signed}", unfolded),
        Shown("/studies/{signed}", unfolded),
        Shown("/studies/{waiting}"),
        Shown("/studies/{lateral}"),
        Shown("/studies/{blind}"),
        Shown("/studies/{disputed}", unfolded),
        Shown("/studies/{conflicting}"),
        Shown("/studies/{lateral}", filled_in),
    ),
    "GET /studies/{study_id}/similar": (Shown("/studies/{screened}/similar"),),
    "GET /training": (Shown("/training", unfolded), Shown("/training?snapshot={snapshot}")),
    "GET /training/runs": (Shown("/training/runs"),),
    "GET /training/runs/{run_id}": (Shown("/training/runs/{run}", unfolded),),
    "GET /training/datasets": (Shown("/training/datasets"),),
    "GET /training/datasets/{dataset_id}": (Shown("/training/datasets/{dataset}"),),
    "GET /training/datasets/{dataset_id}/files": (Shown("/training/datasets/{dataset}/files"),),
    "GET /training/datasets/{dataset_id}/files/{file_id}/picture": (),
    "GET /training/snapshots": (
        Shown("/training/snapshots"),
        Shown("/training/snapshots", ask_what_it_would_hold),
        Shown("/training/snapshots", look_what_it_would_hold),
    ),
    "GET /training/snapshots/{snapshot_id}": (Shown("/training/snapshots/{snapshot}"),),
    "GET /sign-in/code": (),  # see test_second_factor.py
    "GET /signed-out": (),  # see test_second_factor.py
    "GET /upload": (Shown("/upload"),),
}
"""Each page in the states in which it looks different."""
NO_PAGES = {
    "GET /healthz",
    "GET /metrics",
    "GET /models/{sha256}/card.json",
    "GET /site/patients/proofs/{deletion_id}",
    "GET /models/{sha256}/card.md",
    "GET /models/{sha256}/export/{export_id}",
    "GET /openapi.json",
    "GET /problems/{slug}",
    "GET /readyz",
    "GET /sign-in/provider",  # leads to the provider
    "GET /sign-in/provider/back",
    "GET /studies/{study_id}/draft",
    "GET /studies/{study_id}/now",
    "GET /studies/{study_id}/onwards",  # leads to the next study
    "GET /studies/{study_id}/pictures",
    "GET /worklist/page",  # the worklist's own page, for its script
    "GET /worklist/rows",
}
PROBLEMS = (
    Shown("/nowhere", status=(404,)),
    Shown("/studies/00000000-0000-4000-8000-000000000000", status=(403, 404)),
)


def test_every_page_has_a_line_here_and_every_line_a_page() -> None:
    asked = {route for route in routes() if route.startswith("GET ")}
    pages = {route for route in asked if not route.startswith(("GET /api/", "GET /dicomweb/"))} - NO_PAGES
    assert sorted(pages) == sorted(PAGES), "say in PAGES in which states axe is to see the new page"


_WEAR = """(theme) => {
  if (theme === "light") document.documentElement.dataset.theme = "light";
  else delete document.documentElement.dataset.theme;
}"""
"""As js/theme.js does it."""


class Eyes:
    """What axe says of pages, a line for each element that it objects to."""

    def __init__(self) -> None:
        from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415  (with the extra `browser` alone)

        self._axe = Axe()
        self.objections: list[str] = []
        self.looks = 0

    def look(self, page: Any, what: str, *, besides: str | None = None) -> None:
        """The page as it is now, dark, and then light; besides a part of it where one is named."""
        context = {"exclude": [[besides]]} if besides else None
        self.looks += 1
        for theme in ("dark", "light"):
            page.evaluate(_WEAR, theme)
            for found in self._axe.run(page, context=context, options=OPTIONS).response["violations"]:
                for node in found["nodes"]:
                    why = node["failureSummary"].splitlines()[-1].strip()
                    self.objections.append(f"{what}, {theme}: {found['id']} at {node['target']}: {why}")
        page.evaluate(_WEAR, "dark")


@pytest.fixture
def eyes(chromium: Any) -> Eyes:
    pytest.importorskip("axe_playwright_python", reason=NEEDS_AXE)
    return Eyes()


@pytest.fixture
def ids(blobs: Blobs, broker: str, database: str) -> dict[str, str]:
    """Studies in every state that looks different, and what the other pages have to show; by name."""
    with transaction() as session:
        delivery.add_destination(session, name="ris", url="https://ris.example/hook", by=SYSTEM)
        a_key(session, "modality", Scope.INTAKE)
        people.add_user(session, username="newcomer", display_name="", roles=[Role.AUDITOR], by=SYSTEM)
        people.disable_user(session, user_id=a_user(session, "gone", Role.OPERATOR).id, by=SYSTEM)
    signed = a_signed_study(blobs, patient_id="P7", ago=timedelta(seconds=30))
    screened = a_screened_study(blobs, patient_id="P7")
    a_screened_study(blobs, lane=Lane.ABSTAIN, probability=0.4)
    a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.02)
    lateral, _ = a_study_with_a_lateral(blobs)
    conflicting = an_admitted_study(blobs, patient_id="A", study_instance_uid="1.2.3.4")
    an_admitted_study(blobs, patient_id="B", study_instance_uid="1.2.3.4")
    waiting = an_admitted_study(blobs, patient_age=None)
    blind = a_screened_study(blobs)
    disputed = sign(a_signed_study(blobs), by="dr.kim", say=Statement.ABSENT)
    with transaction() as session:
        passing, failing, unjudged = (a_stored_bundle(session, blobs, version) for version in "234")
        an_evaluation(session, blobs, passing)
        an_evaluation(session, blobs, failing, lost_of_right=0.4, patients_with=3)
        ada = a_user(session, "ada", Role.ADMINISTRATOR)
        promotion.propose(session, blobs, sha256=passing, reason="fewer missed", by=ada)
        session.get_one(Study, blind.study_id).blind = True
        session.execute(update(Delivery).values(state="dead", attempts=8, last_error="It answered 500."))
        dataset = a_dataset(session, [*patients(90), *patients(90, label="NORMAL", prefix="n")])
        snapshot = taken(session, blobs, dataset, reviews=True).id
        run, job = training.ask(session, snapshot_id=snapshot, mode="thorough", budget_minutes=30, by=SYSTEM)
        session.get_one(Job, job).told = TOLD
        exporting.ask(session, sha256=BUNDLE, format="onnx", by=ada)
        _say_in_shadow(session, shadow.begin(session, sha256=failing, by=ada))
    an_admitted_study(blobs, patient_id="P-9")
    delete(blobs, PatientNamed(patient_id="P-9"), reason="Request 17")
    return {
        "dataset": str(dataset),
        "snapshot": str(snapshot),
        "run": str(run),
        "signed": str(signed),
        "screened": str(screened.study_id),
        "lateral": str(lateral.study_id),
        "conflicting": str(conflicting.study_id),
        "waiting": str(waiting.study_id),
        "blind": str(blind.study_id),
        "disputed": str(disputed),
        "passing": passing,
        "failing": failing,
        "unjudged": unjudged,
        "active": BUNDLE,
    }


def _say_in_shadow(session: Session, shadow_id: UUID) -> None:
    """The network in shadow abstained wherever the other one had a lane."""
    for reading in session.scalars(select(Reading).where(Reading.outcome == "screened")):
        said = {"pneumonia": {"probability": 0.5, "lane": "abstain"}}
        session.add(
            ShadowReading(
                shadow_id=shadow_id,
                reading_id=reading.id,
                outcome="screened",
                lane="abstain",
                urgency=0.5,
                findings=said,
                runtime="test",
            )
        )


def seen_by(role: Role) -> list[str]:
    """The pages that the role may open."""
    granted = permissions_of([role])
    return [
        route
        for route in PAGES
        if WHO_MAY[route] == SIGNED_IN or any(name in granted for name in WHO_MAY[route].split())
    ]


def visit(page: Any, shown: Shown, ids: dict[str, str]) -> str:
    """The page in that state; what it is called in objections."""
    answer = page.goto(shown.address.format(**ids))
    assert answer is not None
    assert answer.status in shown.status, f"{shown.address}: {answer.status}, so it is not that page"
    if page.locator("#viewer").count():
        page.wait_for_selector("#viewer[data-state=full]")
    shown.deed(page)
    return shown.address


@pytest.mark.parametrize("role", Role)
def test_axe_objects_to_nothing_that_a_role_sees(
    signed_in: SignIn, eyes: Eyes, ids: dict[str, str], role: Role
) -> None:
    page = signed_in("somebody", role)
    if Permission.LOOK_INSIDE in permissions_of([role]):
        ids["look"] = a_look(role)
    states = [shown for route in seen_by(role) for shown in PAGES[route]]
    for shown in (*states, *PROBLEMS):
        eyes.look(page, f"{role}: {visit(page, shown, ids)}")
    assert eyes.objections == []
    assert eyes.looks == len(states) + len(PROBLEMS)


def a_look(role: Role) -> str:
    """A question of the person who is signed in, which nobody answers."""
    with transaction() as session:
        user = session.scalars(select(User).where(User.username == "somebody")).one()
        image = session.scalars(select(Image.id)).first()
    assert image is not None
    by = Actor(kind="user", id=user.id, name=user.username, permissions=permissions_of([role]))
    return str(ask_of_image(image, by=by))


@pytest.mark.parametrize("role", [role for role in Role if Permission.READ in permissions_of([role])])
def test_axe_objects_to_nothing_on_an_empty_worklist(signed_in: SignIn, eyes: Eyes, role: Role) -> None:
    page = signed_in("somebody", role)
    for address in ("/", "/?section=done", "/?lane=rule-in"):
        page.goto(address)
        eyes.look(page, f"{role}: {address}")
    assert eyes.objections == []


def test_axe_objects_to_nothing_around_the_answers_to_forms(
    signed_in: SignIn, eyes: Eyes, ids: dict[str, str]
) -> None:
    """A key shown once, a refusal beside its form, what a search finds, and what it does not find."""
    page = signed_in("somebody", Role.ADMINISTRATOR, Role.RADIOLOGIST)
    page.goto("/people")
    page.fill("#key-name", "ward 3")
    page.check("form[action='/people/keys'] input[value=intake]")
    page.click("form[action='/people/keys'] button")
    page.wait_for_selector(".secret")
    eyes.look(page, "a key")
    page.fill("#key-name", "ward 3")
    page.click("form[action='/people/keys'] button")
    page.wait_for_selector(".note.bad")
    eyes.look(page, "a key refused")
    sent = "/worklist/key"
    page.goto("/")
    page.evaluate(
        "(address) => { const form = document.querySelector('form[action=\"/worklist/search\"]');"
        " form.action = address; form.noValidate = true; form.requestSubmit(); }",
        sent,
    )
    page.wait_for_url(f"**{sent}")
    eyes.look(page, "a key to send with")
    for text in ("P7", "nobody at all"):
        page.goto("/")
        page.fill("#search", text)
        page.keyboard.press("Enter")
        page.wait_for_url("**/worklist/search")
        eyes.look(page, f"search for {text}")
    hold_nothing(page)
    page.goto(f"/studies/{ids['screened']}")
    # Not by its key, which would claim the study.
    page.evaluate("() => { document.getElementById('correction').open = true; }")
    sign(UUID(ids["screened"]))  # by somebody else, meanwhile
    page.wait_for_selector("#changed:visible")
    eyes.look(page, "a study that has changed")
    page.check("#correct input[value=absent]", force=True)
    page.click("#correct button[data-signs]")
    page.wait_for_selector(".act [role=alert]")
    eyes.look(page, "a signature refused")
    assert eyes.objections == []


def test_axe_objects_to_nothing_before_somebody_is_signed_in(
    chromium: Any, server: str, watch: Watch, eyes: Eyes
) -> None:
    context = chromium.new_context(base_url=server)
    page = context.new_page()
    watch.attach(page)
    page.goto("/sign-in")
    for shown in (*PAGES["GET /sign-in"], Shown("/nowhere", status=(404,))):
        eyes.look(page, visit(page, shown, {}))
    page.goto("/sign-in")
    page.fill("#username", "nobody")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_selector("[role=alert]")
    eyes.look(page, "a sign-in refused")
    context.close()
    assert eyes.objections == []


def test_axe_objects_to_nothing_in_what_the_layers_see(
    signed_in: SignIn, eyes: Eyes, looking: None, blobs: Blobs
) -> None:
    promoted(blobs, explanations={"passes": True, "finding": "pneumonia"})
    an_admitted_study(blobs)
    page = signed_in("somebody", Role.ADMINISTRATOR)
    page.goto(f"/models/layers/{a_look(Role.ADMINISTRATOR)}")
    page.wait_for_selector("text=Early layers", timeout=60_000)
    eyes.look(page, "the layers")
    assert eyes.objections == []


def test_axe_objects_to_nothing_that_a_one_time_password_opens(
    chromium: Any, server: str, watch: Watch, eyes: Eyes, database: str
) -> None:
    with transaction() as session:
        once = people.add_user(
            session, username="newcomer", display_name="", roles=[Role.RADIOLOGIST], by=SYSTEM
        )
    context = chromium.new_context(base_url=server)
    page = context.new_page()
    watch.attach(page)
    page.goto("/sign-in")
    page.fill("#username", "newcomer")
    page.fill("#password", once)
    page.click("button.main")
    page.wait_for_url("**/password*")
    eyes.look(page, "/password")
    page.goto("/")
    eyes.look(page, "/ before the password is one's own")
    context.close()
    assert eyes.objections == []


def test_axe_objects_to_nothing_of_ours_around_swagger_ui(
    chromium: Any, server: str, watch: Watch, eyes: Eyes
) -> None:
    """What Swagger UI draws is its makers' and vendored unchanged; the frame around it is ours."""
    page = chromium.new_page()
    watch.attach(page)
    page.goto(f"{server}/docs")
    page.wait_for_selector(".opblock")
    eyes.look(page, "/docs", besides="#swagger-ui")
    page.close()
    assert eyes.objections == []


def test_axe_does_object(signed_in: SignIn, eyes: Eyes) -> None:
    page = signed_in("somebody", Role.RADIOLOGIST)
    page.evaluate(
        "() => document.querySelector('main').insertAdjacentHTML('beforeend',"
        " '<img src=\"/static/icon.svg\"><p id=faint>faint</p>')"
    )
    page.evaluate("() => { document.getElementById('faint').style.color = 'rgb(40, 46, 54)'; }")
    eyes.look(page, "/")
    assert {objection.split(": ")[1].split(" ")[0] for objection in eyes.objections} == {
        "image-alt",
        "color-contrast",
    }


def test_axe_objects_to_nothing_of_an_undo_a_take_over_and_a_lost_connection(
    signed_in: SignIn, eyes: Eyes, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_UNDO_SECONDS", "60")
    settings.cache_clear()
    first, second = a_screened_study(blobs), a_screened_study(blobs)
    alice, bob = signed_in("alice", Role.RADIOLOGIST), signed_in("bob", Role.RADIOLOGIST)
    open_painted(alice, first.study_id)
    alice.keyboard.press("1")
    alice.wait_for_url(f"**/studies/{second.study_id}?signed=*")
    eyes.look(alice, "a signature that can be undone")
    alice.keyboard.press("2")
    alice.wait_for_function("() => document.getElementById('held')?.textContent.startsWith('Held by you')")
    bob.goto(f"/studies/{second.study_id}")
    bob.click("#take-over summary")
    eyes.look(bob, "a study held by somebody else")
    bob.fill("#reason", "She was called away.")
    bob.click("#take-over button")
    alice.wait_for_selector("#lost:visible")
    eyes.look(alice, "a study that was taken over")
    open_painted(bob, second.study_id)
    bob.context.set_offline(True)
    bob.keyboard.press("1")
    bob.wait_for_selector("#unsent:visible")
    eyes.look(bob, "a connection lost while signing")
    bob.context.set_offline(False)
    bob.wait_for_url("**/?signed=*")
    eyes.look(bob, "the worklist after the last signature")
    bob.keyboard.press("Control+z")
    bob.wait_for_selector("#taken-back")
    eyes.look(bob, "a signature taken back")
    assert eyes.objections == []
