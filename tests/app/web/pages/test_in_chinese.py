"""Every page as a reader of Chinese sees it: no English sentence is left on any of them."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.domain.order import Lane
from app.domain.roles import Role
from app.domain.states import Outcome
from app.records.engine import transaction
from app.web.pages.render import DOORS
from tests.app.dicom.judged import judge
from tests.app.web.conftest import SignIn
from tests.builders import a_screened_study, a_signed_study, an_admitted_study, claimed, image_read, record

CHINESE = {"Accept-Language": "zh-CN", "Accept": "text/html"}
SAID_BY_DATA = {"code", "pre", "kbd", "script", "style"}
"""Elements that hold what is typed, or what a machine reads."""
SPOKEN = ("aria-label", "title", "placeholder", "alt", "data-confirm")
ENGLISH = re.compile(r"[A-Za-z’']{2,}(?:[ ,;:.]+[A-Za-z’']{1,}){2,}")
"""Three words in a row: a sentence, or a part of one."""
NAMES = re.compile(r"FirstRead|PHANTOM: normal, AP|DICOM, PNG|Bearer fr_|test network|HTTP Basic")


class Texts(HTMLParser):
    """What a page says: its texts, and those of its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "input", "img", "br"):
            self._within.append(tag)
        self.said += [value for name, value in attributes if name in SPOKEN and value]

    def handle_endtag(self, tag: str) -> None:
        while self._within and self._within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not SAID_BY_DATA & set(self._within):
            self.said.append(data)


def english_in(page: str) -> list[str]:
    texts = Texts()
    texts.feed(page)
    return [text.strip() for text in texts.said if ENGLISH.search(NAMES.sub("", text))]


@pytest.fixture
def somebody(sign_in: SignIn, blobs: Blobs) -> TestClient:
    """Who may do everything, at a site where studies are in every state."""
    an_admitted_study(blobs, patient_id="P1")
    a_screened_study(blobs, patient_id="P2", lane=Lane.ABSTAIN)
    a_signed_study(blobs, patient_id="P2", ago=timedelta(seconds=20))  # today, also after midnight
    withheld = an_admitted_study(blobs, patient_id="P3")
    with transaction() as session:
        for study in claimed(session):
            why = judge(view_position="LLD").withheld if study.study_id == withheld.study_id else None
            said = {"outcome": Outcome.WITHHELD, "reason": why} if why else {"notices": ("age unknown",)}
            record(session, study, *(image_read(image.image_id, **said) for image in study.images))
    return sign_in(*Role)


def test_no_english_sentence_is_left_for_a_reader_of_chinese(somebody: TestClient) -> None:
    listed = somebody.get("/", headers=CHINESE).text + somebody.get("/?section=done", headers=CHINESE).text
    studies = sorted(set(re.findall(r'href="(/studies/[0-9a-f-]{36})"', listed)))
    assert len(studies) == 4
    addresses = [door.address for door in DOORS]
    addresses += ["/account", "/password", "/help", "/models/layers", "/second-opinions", "/nowhere"]
    addresses += ["/?lane=rule-in&held=me", "/?section=done"]
    addresses += [*studies, *(f"{study}/similar" for study in studies)]
    left = {}
    for address in addresses:
        page = somebody.get(address, headers=CHINESE)
        assert page.status_code == (404 if address == "/nowhere" else 200), address
        assert '<html lang="zh-Hans">' in page.text, address
        if texts := english_in(page.text):
            left[address] = texts
    assert left == {}


def test_english_that_is_left_is_found() -> None:
    assert english_in("<p>等待 <b>Not read by the network.</b></p>") == ["Not read by the network."]
    assert english_in('<a title="Show all keys">?</a><code>any number of words</code>') == ["Show all keys"]
    assert english_in("<p>FirstRead API 密钥 DICOM, PNG</p>") == []
