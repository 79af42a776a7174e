"""Every reason the program can give is of one of a few kinds."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from app.domain.counting import KINDS, bucket_of, counted, kind_of

_ROOT = Path(__file__).parents[3]
_GIVEN_BY = (
    *("app/dicom/gate.py", "app/dicom/codestream.py", "app/dicom/decoder_child.py"),
    *("app/dicom/decoder_process.py", "app/dicom/frames.py", "app/dicom/interpret.py"),
    *("app/dicom/layout.py", "app/dicom/stored.py", "models/pixel_gate.py", "models/bundle.py"),
    *("worker/screen.py", "worker/screener.py", "worker/recorder.py", "app/domain/reading.py"),
)


def _sentences(file: str) -> list[str]:
    """What is said there in whole sentences, with 1 for every value."""
    found = []
    for node in ast.walk(ast.parse((_ROOT / file).read_text())):
        name = isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name not in ("sentence", "DecodeFailed") or not node.args:  # type: ignore[attr-defined]
            continue
        first = node.args[0]  # type: ignore[attr-defined]
        parts = first.values if isinstance(first, ast.JoinedStr) else [first]
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in parts)
        if text[:1].isupper() and text.endswith("."):
            found.append(text)
    return found


@pytest.mark.parametrize("file", _GIVEN_BY)
def test_every_reason_has_a_kind(file: str) -> None:
    reasons = _sentences(file)
    assert reasons, f"{file} gives no reasons any more"
    assert [reason for reason in reasons if kind_of(reason) == "other"] == []


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("The patient is 3 years old; this network knows patients from 5 to under 90 years of age.", "age"),
        ("The patient's age is unknown; this network knows children.", "age"),
        ("The patient is an animal (DOG); this network knows humans alone.", "not-a-patient"),
        ("This is a lateral view; this network knows frontal views (AP) alone.", "view"),
        ("The body part is HAND; this network knows the chest alone.", "body-part"),
        ("The modality is CT; this network knows CR or DX.", "modality"),
        ("The image has only 60 x 60 pixels; nothing can be judged in it.", "size"),
        ("The picture does not look like a chest radiograph.", "picture"),
        ("The decoder stopped answering on this image.", "decoder"),
        ("The header promises 10 bytes of pixels, the file has 4. Send it again.", "pixels"),
        ("No network has been promoted at this site.", "network"),
        ("The stored bytes cannot be read.", "storage"),
        ("Muster^Anna 1980-01-01", "other"),
        ("", "other"),
    ],
)
def test_a_reason_is_of_the_kind_a_person_would_say(reason: str, kind: str) -> None:
    assert kind_of(reason) == kind
    assert kind in KINDS


def test_what_is_counted_names_nobody_and_has_few_words() -> None:
    said = counted(
        outcome="screened",
        reason=None,
        waited_seconds=-0.5,
        bundle="ab" * 32,
        findings={"pneumonia": {"probability": 0.25}, "Muster^Anna": {"probability": 1.0}}
        | {f"x{number:03}": {"probability": 0.5} for number in range(100)},
    )
    assert (said.kind, said.waited_seconds, said.bundle) == ("", 0.0, "abababababab")
    assert said.scores["pneumonia"] == 0.25
    assert "Muster^Anna" not in said.scores
    assert len(said.scores) <= 32


def test_a_value_counts_under_the_first_bound_that_holds_it() -> None:
    assert [bucket_of(value, (1.0, 2.0)) for value in (0.0, 1.0, 1.5, 2.5)] == ["1.0", "1.0", "2.0", "+Inf"]
