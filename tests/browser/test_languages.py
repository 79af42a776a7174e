"""Languages in a browser: a reader works in Chinese, and no page or script says a word past the catalogue.

For that every text of the catalogue is put into brackets, ⟦like this⟧, around the values in it and not around
them: a letter outside of brackets that is nobody's data was said without the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from sqlalchemy import select

from app import language, told
from app.blobs import Blobs
from app.commands import preferences
from app.domain.roles import Actor, Permission, Role, permissions_of
from app.records import Study, User
from app.records.engine import transaction
from app.web.pages import words
from tests import catalogue
from tests.browser.conftest import SCREENS, SignIn, Watch
from tests.browser.pages import open_painted
from tests.browser.test_accessibility import PAGES, PROBLEMS, a_look, ids, seen_by, visit
from tests.builders import PASSWORD, a_screened_study, a_user

__all__ = ["ids"]

WALK = """() => {
  const outside = [];
  let depth = 0;
  const beyond = (text) => {
    let found = "";
    for (const letter of text) {
      if (letter === "⟦") depth++;
      else if (letter === "⟧") depth--;
      else found += depth ? " " : letter;
    }
    return found;
  };
  const typed = "script, style, code, pre, kbd, noscript, .mono, .secret, [data-recorded]";
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const found = beyond(walker.currentNode.data);
    if (!walker.currentNode.parentElement.closest(typed)) outside.push(found);
  }
  for (const element of document.querySelectorAll("*")) {
    for (const name of ["title", "aria-label", "placeholder", "alt", "data-confirm", "data-words"]) {
      depth = 0;
      outside.push(beyond(element.getAttribute(name) ?? ""));
    }
  }
  return outside;
}"""
"""What stands outside of brackets in the page's texts, in order, and in the attributes that are read."""

NOT_OURS = re.compile(
    r"FirstRead|English|中文 \(简体\)|SHA-256|UTC|MiB|STAT"
    r"|[Ss]omebody|firstread|[Dd]r\.\w+|PHANTOM[-\w, ]*(?:: normal)?|the tests|test(?: network)?"
    r"|\bris\b|study\.(?:amended|screened|signed)|It answered 500\."
    r"|drawn \d|autumn|\bada\b|fewer missed|station CARE7|\b1 to 4 years\b|\bFirst\b|Request 17"
    r"|ONNX|Core ML|OpenVINO IR|PyTorch|[\da-f]{8}-[\da-f-]{27}|10\.20\.0\.0/16, fd00:12::/64"
    r"|Children|(?i:NORMAL|PNEUMONIA)(?:/\w+\.png)?|\badmin\b|AUC|^\s*(?:Ada|[Gg]one|newcomer|modality)\s*$"
    r"|This is a lateral view\.|\b(?:AP|PA|LL|DX|CR|CHEST|C|W|rest|none|[AB]|P\d+|P7|b{12})\b"
)
"""Names of people, patients, machines and software, codes of the header, units, what studies here hold."""


def bracketed(text: str) -> str:
    """The message in brackets, its values outside of them."""
    return "⟦" + re.sub(r"(%\(\w+\)s)", r"⟧\1⟦", text) + "⟧"


@pytest.fixture(scope="session")
def in_brackets() -> Catalog:
    """Every message of the code as its own translation, in brackets.

    Read before anything is served: requests come in threads, and Python 3.11 does not parse sources in two of
    them at once (a `SystemError` about the depth of recursion).
    """
    pseudo = Catalog(locale="zh_Hans")
    for message in catalogue.extracted():
        if isinstance(message.id, tuple):
            pseudo.add(message.id, (bracketed(message.id[1]),), locations=message.locations)
        elif message.id:
            said = bracketed(message.id)
            pseudo.add(message.id, said, locations=message.locations, context=message.context)
    return pseudo


@pytest.fixture
def brackets(in_brackets: Catalog, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The Chinese of this process is English in brackets."""

    def read(name: str) -> Catalog:
        return in_brackets

    monkeypatch.setattr(language, "read", read)
    remembered = (language.catalogue, language.script_texts, told._known, told._told, words._written)
    for each in remembered:
        each.cache_clear()
    yield
    for each in remembered:
        each.cache_clear()


def speak(name: str, chosen: str) -> None:
    """The person has chosen the language."""
    with transaction() as session:
        user = session.scalars(select(User).where(User.username == name)).one()
        by = Actor(kind="user", id=user.id, name=name)
        preferences.choose_language(session, by=by, language=chosen)


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.ADMINISTRATOR, Role.AUDITOR])
def test_no_page_and_no_script_speaks_past_the_catalogue(
    brackets: None, signed_in: SignIn, ids: dict[str, str], role: Role
) -> None:
    page = signed_in("somebody", role)
    speak("somebody", "zh_Hans")
    if Permission.LOOK_INSIDE in permissions_of([role]):
        ids["look"] = a_look(role)
    said = {}
    for shown in (*(shown for route in seen_by(role) for shown in PAGES[route]), *PROBLEMS):
        visit(page, shown, ids)
        texts = {NOT_OURS.sub("", text).strip() for text in page.evaluate(WALK)}
        if left := sorted(text for text in texts if re.search(r"[^\W\d_]", text)):
            said[shown.address] = left
    assert "\n".join(f"{where}: {text}" for where, texts in said.items() for text in texts) == ""


def test_a_radiologist_works_in_chinese(
    chromium: Any, server: str, watch: Watch, blobs: Blobs, database: str
) -> None:
    study = a_screened_study(blobs).study_id
    with transaction() as session:
        a_user(session, "wang", Role.RADIOLOGIST)
    context = chromium.new_context(base_url=server, locale="en-US")
    page = context.new_page()
    watch.attach(page)
    page.goto("/sign-in")
    assert page.locator("html").get_attribute("lang") == "en"
    page.click("button[lang=zh-Hans]")
    page.wait_for_selector("html[lang=zh-Hans]")
    page.fill("#username", "wang")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_selector("#rows")
    assert "工作列表" in page.title()
    page.wait_for_selector("[data-live=on]")
    assert page.inner_text("#live") == "实时"
    keep(page, "worklist")
    open_painted(page, study)
    assert "确认并签发" in page.inner_text("#confirm")
    assert "肺炎" in page.inner_text("#confirm")
    assert "肺" in page.inner_text("select[data-presets]")
    keep(page, "study")
    page.keyboard.press("1")
    page.wait_for_url(f"**/?signed={study}")
    assert "已签发" in page.inner_text("#just-signed")
    assert page.inner_text("[data-countdown]").endswith("秒")
    page.goto("/adjudication")
    keep(page, "adjudication")
    page.goto("/account")
    keep(page, "account")
    page.select_option("#language", "en")
    page.click("form[action='/account/language'] button")
    page.wait_for_selector("html[lang=en]")
    assert "Worklist" in page.inner_text("nav")
    context.close()
    with transaction() as session:
        assert session.get_one(Study, study).state == "signed"


def keep(page: Any, name: str) -> None:
    """The page at three sizes, for whoever looks; none is wider than its screen."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    for width, height in ((1280, 800), (3840, 2160), (820, 1180)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(200)
        page.screenshot(path=SCREENS / f"zh-{name}-{width}.png")
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), (name, width)
    page.set_viewport_size({"width": 1280, "height": 800})
