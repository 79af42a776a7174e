"""What is stored and raised in English reaches a page in the reader's language, values and all."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import pytest

from app import language
from app.dicom.gate import header_gate
from app.domain.explanation import why_map_withheld, why_occlusion_withheld
from app.domain.sentence import sentence
from app.errors import Problem
from app.queries.why_here import placement
from app.told import told, untold
from models.bundle import default_bundle_path
from tests import told_everywhere
from tests.app.dicom.judged import CHILD, CHILDREN
from tests.sentences import messages_of, sentences
from tests.told_everywhere import everything_said_can_be_told

MARKS = {"sentence", "Conflict"}


def in_chinese(text: str) -> str:
    with language.speaking("zh_Hans"):
        return told(text)


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("The study holds no image that can be read.", "该检查中没有可判读的图像。"),
        ("The modality is MR; this network knows CR or DX.", "成像设备类型为 MR；本网络适用于 CR 或 DX。"),
        (
            "The patient is 34 years old; this network knows patients from 1 year to under 6 years of age.",
            "患者年龄为 34 岁；本网络适用于 1 岁至未满 6 岁的患者。",
        ),
        (
            "The network could not be loaded. x.bundle is not packed as a bundle is.",
            "无法加载网络。x.bundle 的打包方式与模型包不符。",
        ),
        (
            "STAT order. Network: pneumonia likely (0.93); viral pneumonia uncertain (0.40). "
            "Placed as if it had arrived 8 h earlier.",
            "加急 (STAT) 申请。网络：肺炎可能性大（0.93）；病毒性肺炎不确定（0.40）。按提前 8 小时到达排序。",
        ),
        (
            "After the study was signed, an image came again with another header: "
            "the patient's name, the view.",
            "检查签发后，有图像带着不同的文件头再次到达，变动项：患者姓名，投照体位。",
        ),
        (
            "age: send years as 3 or 3Y, months as 18M, weeks as 6W or days as 5D.",
            "age：岁写作 3 或 3Y，月写作 18M，周写作 6W，天写作 5D。",
        ),
    ],
    ids=["as it is", "a list", "ages", "two sentences", "a place", "words", "fields"],
)
def test_a_sentence_is_told_with_its_values(english: str, chinese: str) -> None:
    assert in_chinese(english) == chinese
    assert untold(english, of="zh_Hans") == []


def test_english_readers_and_machines_are_told_what_was_said() -> None:
    for text in ("age unknown", "The modality is MR; this network knows CR or DX.", "A row of 1997."):
        assert told(text) == text
    assert told(None) == ""


def test_what_an_unknown_version_wrote_is_shown_as_it_is_beside_what_is_known() -> None:
    text = "The image was taken on a Tuesday. The file is empty."
    assert in_chinese(text) == "The image was taken on a Tuesday. 该文件为空。"
    assert untold(text, of="zh_Hans") == ["The image was taken on a Tuesday."]


@pytest.mark.parametrize(
    "name",
    ["Dr. Who? Not found.", "uncertain", "%(who)s", "100%", "Ann\nLee", "王医生", "A holds this study."],
)
def test_values_are_kept_letter_by_letter_whatever_they_look_like(name: str) -> None:
    text = f"{name} holds this study until they release it or the claim expires."
    assert in_chinese(text) == f"该检查由 {name} 持有，直至其放回或领取到期。"


def test_words_of_a_person_are_not_taken_for_ours() -> None:
    for text in ("Patient of Dr. X.", "hello", "Network: my own.", "A: b.", "x" * 100_000, "a. " * 1000):
        assert in_chinese(text) == text


def test_a_finding_of_words_that_no_catalogue_has_keeps_them_as_they_are() -> None:
    said = in_chinese("Network: pleural effusion likely (0.93).")
    assert "pleural effusion" in said


def test_the_gates_words_are_told_whatever_the_intended_use() -> None:
    use = replace(CHILDREN, min_age_years=0.5, max_age_years=18)
    verdict = header_gate(replace(CHILD, age_years=34.0), use, paediatric_source=False, door="dicom")
    assert verdict.withheld is not None
    assert in_chinese(verdict.withheld) == "患者年龄为 34 岁；本网络适用于 6 个月至未满 18 岁的患者。"


@pytest.mark.parametrize("hours", [None, 0, 0.5, 8, 23.99])
def test_every_place_is_told(hours: float | None) -> None:
    assert untold(placement(hours), of="zh_Hans") == [""] * (hours is None)


def test_the_shipped_bundles_own_words_are_told() -> None:
    with zipfile.ZipFile(default_bundle_path()) as bundle:
        explanations = json.loads(bundle.read("manifest.json")).get("explanations")
    for why in (why_map_withheld(explanations), why_occlusion_withheld(explanations)):
        assert why is None or untold(why, of="zh_Hans") == []


def test_a_problem_whose_words_nobody_translated_fails_the_test_that_meets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(told_everywhere, "_is_ours", lambda file: True)
    watch = everything_said_can_be_told.__wrapped__()
    next(watch)
    with pytest.raises(Problem):
        raise Problem("Nobody translated this.")
    with pytest.raises(AssertionError, match="Nobody translated this"):
        next(watch, None)


def test_messages_are_found_with_their_values_named() -> None:
    source = """
raise Conflict(f"{study.claimed_by} holds it, not {by.name}. {other}", id=1)
sentence("100% of it")
sentence(f"{a.x} and {b.x} of {len(c)} at {when:%H}") if a else sentence("no")
other(f"not {this}")
"""
    assert list(messages_of(source, marks=MARKS)) == [
        "%(claimed_by)s holds it, not %(name)s.",
        "100%% of it",
        "%(x)s and %(x_2)s of %(len)s at %(when)s",
        "no",
    ]


def test_the_sentences_of_every_room_are_found() -> None:
    rooms = {file.split("/")[0] + "/" + file.split("/")[1] for file, _ in sentences()}
    assert rooms >= {"app/commands", "app/dicom", "app/queries", "app/web", "app/domain", "worker/screen.py"}
    assert sentence("as it is") == "as it is"
