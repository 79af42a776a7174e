"""A bundle that is not whole, not ours, or answers otherwise than it was made to, is refused in words."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from models.bundle import Bundle, BundleRefused
from models.bundle_file import MEMBERS, unseal
from tests.models.conftest import Trained, resealed


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.9999])
def test_a_truncated_bundle_is_refused(trained: Trained, tmp_path: Path, share: float) -> None:
    content = trained.path.read_bytes()
    cut = tmp_path / "cut.bundle"
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BundleRefused, match=r"not a whole bundle .* copy it again"):
        Bundle.load(cut)


@pytest.mark.parametrize("member", MEMBERS)
def test_a_changed_byte_in_any_member_is_refused(trained: Trained, tmp_path: Path, member: str) -> None:
    content = bytearray(trained.path.read_bytes())
    with zipfile.ZipFile(trained.path) as archive:
        at = archive.getinfo(member).header_offset + 30 + len(member) + archive.getinfo(member).file_size // 2
    content[at] ^= 1
    changed = tmp_path / "changed.bundle"
    changed.write_bytes(content)
    with pytest.raises(BundleRefused):
        Bundle.load(changed)


def test_bytes_that_no_sum_covers_are_refused(trained: Trained, tmp_path: Path) -> None:
    content = trained.path.read_bytes()
    for name, altered in (("before", b"#!/bin/sh\n" + content), ("after", content + b"\0" * 9)):
        path = tmp_path / f"{name}.bundle"
        path.write_bytes(altered)
        with pytest.raises(BundleRefused):
            Bundle.load(path)
    stray = tmp_path / "stray.bundle"
    stray.write_bytes(content)
    with zipfile.ZipFile(stray, "a") as archive:
        archive.writestr("extra.py", "print()")
    with pytest.raises(BundleRefused, match=r"extra\.py"):
        Bundle.load(stray)


def test_a_bundle_packed_otherwise_is_refused(trained: Trained, tmp_path: Path) -> None:
    members, _ = unseal(trained.path)
    packed = tmp_path / "packed.bundle"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(BundleRefused, match="not packed as a bundle"):
        Bundle.load(packed)


def test_what_is_no_bundle_at_all_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "text.bundle").write_text("weights, honestly")
    with pytest.raises(BundleRefused, match="not a whole bundle"):
        Bundle.load(tmp_path / "text.bundle")
    with pytest.raises(BundleRefused, match="cannot be read"):
        Bundle.load(tmp_path / "absent.bundle")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"preprocessing_version": "stretch-0"}, "trained with preprocessing 'stretch-0'"),
        ({"format_version": 99}, "format 99"),
        ({"findings": []}, "names no finding"),
        ({"calibration": {}}, "different labels"),
        ({"thresholds": {"effusion": {}}}, "lacks or misnames"),
        ({"surprise": 1}, "lacks or misnames"),
    ],
)
def test_a_bundle_that_does_not_fit_this_program_is_refused(
    trained: Trained, tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(BundleRefused, match=sentence):
        Bundle.load(resealed(trained.path, tmp_path / "other.bundle", **changes))


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (
            {},
            "The intended use lacks min_age_years, max_age_years, modalities, body_parts, views[.]",
        ),
        ([], "lacks min_age_years"),
        (None, "lacks min_age_years"),
        ({"views": ...}, "lacks views"),
        ({"max_age_years": "6"}, "ages of the intended use are no numbers"),
        ({"min_age_years": True}, "ages of the intended use are no numbers"),
        ({"max_age_years": float("inf")}, "ages of the intended use are no numbers"),
        ({"min_age_years": 6.0}, "is for no age: min_age"),
        ({"modalities": "CR"}, "The modalities of the intended use are no list"),
        ({"body_parts": [1]}, "The body_parts of the intended use are no list"),
    ],
)
def test_a_bundle_that_does_not_say_for_whom_it_is_is_refused(
    trained: Trained, tmp_path: Path, use: object, sentence: str
) -> None:
    stated = use
    if use and isinstance(use, dict):
        parts = dict(trained.manifest.intended_use) | use
        stated = {part: value for part, value in parts.items() if value is not ...}
    with pytest.raises(BundleRefused, match=sentence):
        Bundle.load(resealed(trained.path, tmp_path / "other.bundle", intended_use=stated))


def test_a_network_that_gives_other_answers_than_it_was_made_with_is_refused(
    trained: Trained, tmp_path: Path
) -> None:
    agreement = dict(trained.manifest.agreement)
    agreement["logits"] = [[logit + 3 for logit in row] for row in agreement["logits"]]
    with pytest.raises(BundleRefused, match="gives other answers here"):
        Bundle.load(resealed(trained.path, tmp_path / "other.bundle", agreement=agreement))
