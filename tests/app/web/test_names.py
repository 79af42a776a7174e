"""Names in every script that DICOM's character sets write: pydicom's own files, through the real doors."""

from __future__ import annotations

import html
import io
import json
import re
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_charset_files
from starlette.testclient import TestClient

from app.dicom.header import read_header
from app.domain.roles import Role, Scope
from tests.app.web.conftest import KeyMaker, SignIn
from tests.app.web.test_stow import store
from tests.builders import a_dicom

# file: the name as DICOM has it, as an English reader and as a Chinese reader sees it, and what they look for
NAMES = {
    "chrArab.dcm": ("قباني^لنزار", "\u2068قباني, لنزار\u2069", "\u2068قباني, لنزار\u2069", "قباني"),
    "chrFren.dcm": ("Buc^Jérôme", "Buc, Jérôme", "Buc, Jérôme", "jérôme"),
    "chrFrenMulti.dcm": ("Buc^Jérôme", "Buc, Jérôme", "Buc, Jérôme", "Jérôme Buc"),
    "chrGerm.dcm": ("Äneas^Rüdiger", "Äneas, Rüdiger", "Äneas, Rüdiger", "äneas"),
    "chrGreek.dcm": ("Διονυσιος", "Διονυσιος", "Διονυσιος", "διονυσ"),
    "chrH31.dcm": (
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "Yamada, Tarou · 山田, 太郎 · やまだ, たろう",
        "山田太郎 · Yamada, Tarou · やまだたろう",
        "山田",
    ),
    "chrH32.dcm": (
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        "ﾔﾏﾀﾞ, ﾀﾛｳ · 山田, 太郎 · やまだ, たろう",
        "山田太郎 · ﾔﾏﾀﾞﾀﾛｳ · やまだたろう",
        "ﾔﾏﾀﾞ",
    ),
    "chrHbrw.dcm": ("שרון^דבורה", "\u2068שרון, דבורה\u2069", "\u2068שרון, דבורה\u2069", "דבורה"),
    "chrI2.dcm": (
        "Hong^Gildong=洪^吉洞=홍^길동",
        "Hong, Gildong · 洪, 吉洞 · 홍, 길동",
        "洪吉洞 · Hong, Gildong · 홍길동",
        "길동",
    ),
    "chrJapMulti.dcm": ("やまだ^たろう", "やまだ, たろう", "やまだたろう", "たろう"),
    "chrJapMultiExplicitIR6.dcm": ("やまだ^たろう", "やまだ, たろう", "やまだたろう", "やまだ"),
    "chrKoreanMulti.dcm": ("김희중", "김희중", "김희중", "희중"),
    "chrRuss.dcm": ("Люкceмбypг", "Люкceмбypг", "Люкceмбypг", "люкce"),
    "chrX1.dcm": ("Wang^XiaoDong=王^小東", "Wang, XiaoDong · 王, 小東", "王小東 · Wang, XiaoDong", "小東"),
    "chrX2.dcm": ("Wang^XiaoDong=王^小东", "Wang, XiaoDong · 王, 小东", "王小东 · Wang, XiaoDong", "王 小东"),
}
ROW = re.compile(r'<a class="name" href="([^"]+)">([^<]*)</a>\s*<div class="sub chips">\s*<span>([^ <]*)')
FILES = {Path(file).name: Path(file) for file in get_charset_files("*.dcm")}


def radiograph_of(file: str) -> bytes:
    """A radiograph with the file's name in the file's own bytes and character set."""
    image = dcmread(io.BytesIO(a_dicom(study_instance_uid=uid_of(file), patient_id=file)))
    written = dcmread(FILES[file], force=True)
    kept = {0x00080005, 0x00100010, 0x00321064}
    for tag in image.keys() - kept:
        written[tag] = image[tag]
    written.file_meta = image.file_meta
    for tag in written.keys() - image.keys() - kept:
        del written[tag]
    saved = io.BytesIO()
    dcmwrite(saved, written)
    return saved.getvalue()


def uid_of(file: str) -> str:
    return f"1.2.{sorted(FILES).index(file) + 1}"


def test_every_character_set_file_is_among_them() -> None:
    assert set(FILES) == {*NAMES, "chrSQEncoding.dcm", "chrSQEncoding1.dcm"}


@pytest.mark.parametrize("file", NAMES)
def test_a_header_is_read_in_its_character_set(file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.write_bytes(radiograph_of(file))
    assert read_header(path).patient_name == NAMES[file][0]


@pytest.mark.parametrize("file", ["chrSQEncoding.dcm", "chrSQEncoding1.dcm"])
def test_a_sequence_is_read_in_its_own_character_set(file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.write_bytes(radiograph_of(file))
    [item] = read_header(path).attributes["00321064"]["Value"]
    name = Dataset.from_json(item).PatientName
    assert str(name) == "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"


def test_names_show_rightly_wherever_they_show(client: TestClient, key: KeyMaker, sign_in: SignIn) -> None:
    sender = key(Scope.INTAKE, Scope.READ)
    assert store(client, sender, *(radiograph_of(file) for file in NAMES)).status_code == 200
    person = sign_in(Role.RADIOLOGIST)
    for language, column in (("en", 1), ("zh-CN", 2)):
        asked = {"Accept-Language": language}
        rows = {
            patient: (href, name) for href, name, patient in ROW.findall(person.get("/", headers=asked).text)
        }
        for file, names in NAMES.items():
            address, name = rows[file]
            shown = names[column]
            assert html.unescape(name) == shown
            page = person.get(address, headers=asked).text
            assert f"<h1>{html.escape(shown)}</h1>" in page
            assert f"<title>{html.escape(shown)} ·" in page
            [pictures] = re.findall(r'id="study-images">(.*?)</script>', page)
            assert json.loads(pictures)[0]["overlay"]["topLeft"][0] == shown


def test_a_name_is_found_in_its_own_script(client: TestClient, key: KeyMaker, sign_in: SignIn) -> None:
    sender = key(Scope.INTAKE, Scope.READ)
    assert store(client, sender, *(radiograph_of(file) for file in NAMES)).status_code == 200
    person = sign_in(Role.RADIOLOGIST)
    for file, (written, english, _chinese, looked_for) in NAMES.items():
        for text in (looked_for, english.replace(" · ", " ")):
            assert html.escape(english) in person.post("/worklist/search", data={"text": text}).text, text
        [model] = client.get("/dicomweb/studies", params={"PatientID": file}, headers=sender).json()
        assert str(Dataset.from_json(model).PatientName) == written
        for family in {group.split("^")[0] for group in written.split("=")}:
            asked = {"PatientName": f"*{family}*"}
            found = client.get("/dicomweb/studies", params=asked, headers=sender).json()
            assert uid_of(file) in [one["0020000D"]["Value"][0] for one in found], family
