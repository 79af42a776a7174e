"""What every text goes through: the reader's language, complete catalogues, and English for the rest."""

from __future__ import annotations

import contextvars
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from app import language
from app.language import _, ngettext
from app.settings import Settings
from tests import catalogue

TRANSLATED = [each for each in language.languages() if each != language.SOURCE]


def test_there_is_one_language_beside_english() -> None:
    assert "zh_Hans" in TRANSLATED


@pytest.mark.parametrize("name", TRANSLATED)
def test_every_text_of_the_code_is_in_the_catalogue_and_nothing_else(name: str) -> None:
    assert list(catalogue.faults(name)) == [], "run: make catalogue, and translate what is new"


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_catalogue_lies_as_it_is_written(name: str) -> None:
    as_it_lies = (language.FOLDER / f"{name}.po").read_bytes()
    assert catalogue.written(catalogue.updated(name)) == as_it_lies, "run: make catalogue"


def test_outside_a_request_texts_are_english() -> None:
    assert language.current() == "en"
    assert _("Worklist") == "Worklist"


def test_a_block_speaks_another_language_and_ends() -> None:
    with language.speaking("zh_Hans"):
        assert _("Worklist") == "工作列表"
        with language.speaking(language.SOURCE):
            assert _("Worklist") == "Worklist"
    assert _("Worklist") == "Worklist"


def test_a_thread_of_a_request_speaks_its_language() -> None:
    with language.speaking("zh_Hans"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(contextvars.copy_context().run, _, "Worklist").result() == "工作列表"


def test_values_are_filled_in_by_name() -> None:
    with language.speaking("zh_Hans"):
        assert _("%(days)s d %(hours)s h", days=2, hours=4) == "2 天 4 小时"
    assert (
        ngettext("%(num)s study of %(who)s", "%(num)s studies of %(who)s", 2, who="Doe") == "2 studies of Doe"
    )


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh_Hans"),
        ("zh", "zh_Hans"),
        ("zh-Hans-CN", "zh_Hans"),
        ("zh-TW,zh-Hant;q=0.9", None),
        ("de-DE,de;q=0.9,en-US;q=0.7,zh-CN;q=0.6", "en"),
        ("en;q=0.1, zh-SG", "zh_Hans"),
        ("zh-CN;q=0, en", "en"),
        ("fr, *;q=0.5", None),
        ("", None),
        ("zh-CN;q=much, ;;;,,", None),
        ("x" * 100_000, None),
        ("nb-NO,nb;q=0.9,no;q=0.8,nn;q=0.7,en-US;q=0.6,en;q=0.5", "en"),  # Babel has no locale `no`
    ],
)
def test_the_browsers_languages_are_asked_by_their_weight(header: str, found: str | None) -> None:
    assert language.asked_for(header) == found


def test_scripts_are_given_their_texts_and_no_others() -> None:
    texts = json.loads(language.script_texts("zh_Hans") or "")
    assert "User name" not in texts
    assert language.script_texts("en") is None


def test_a_site_speaks_a_language_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTREAD_LANGUAGE", "zh_Hans")
    assert Settings().language == "zh_Hans"
    monkeypatch.setenv("FIRSTREAD_LANGUAGE", "tlh")
    with pytest.raises(ValueError, match="there is a catalogue for en and zh_Hans"):
        Settings()
