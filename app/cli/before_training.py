"""What labelled radiographs are, told before a training on them begins; and what refuses them there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from app.domain.dataset_path import MOST_FILES
from app.errors import Unprocessable
from models.examples import Example, excluded_patients, list_examples
from worker.learning.inspect_verdicts import imbalance

_NAMED = 3
_TEST = "test"


def told_before(
    data: Path,
    *,
    exclude: Sequence[Path],
    keep_test_patients_out: bool,
    patient_of: Callable[[Path], str | None],
) -> list[str]:
    """Pictures per class in each split, patients in two of them, and classes out of balance, in sentences.

    Raises Unprocessable for patients in the test split and outside it, unless these pictures are to be left
    out, and DatasetRefused for what is no dataset and for more files than one may have.
    """
    listed, _ = list_examples(data, patient_of=patient_of, most=MOST_FILES)
    left_out = excluded_patients(exclude)
    examples = [example for example in listed if example.patient not in left_out]
    tested = _patients(examples, {_TEST})
    crossing = tested & {example.patient for example in examples if example.split != _TEST}
    if crossing and not keep_test_patients_out:
        raise Unprocessable(
            f"Patients who are in the test split and outside it: {_some(crossing)}. A network must be tested "
            "on patients it has not learnt from. Move all pictures of a patient into one split, or train "
            "without those outside the test split by --keep-test-patients-out."
        )
    learnt = [example for example in examples if example.split != _TEST and example.patient not in crossing]
    said = _counted(examples)
    both = _patients(learnt, {"train"}) & _patients(learnt, {"val"})
    if both:
        said.append(
            f"Patients in the training split and in the validation split: {_some(both)}. The two are put "
            "together and drawn anew by patient, so that nobody judges what was learnt from them."
        )
    counts = Counter(example.label.lower() for example in learnt)
    unbalanced = imbalance(counts) if len(counts) > 1 else None
    return said if unbalanced is None else [*said, unbalanced]


def _counted(examples: Iterable[Example]) -> list[str]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for example in examples:
        counts[example.split or "no split"][example.label] += 1
    return [
        f"{split}: " + ", ".join(f"{count:,} of {label}" for label, count in sorted(by_label.items()))
        for split, by_label in counts.items()
    ]


def _patients(examples: Iterable[Example], splits: Collection[str]) -> set[str]:
    return {example.patient for example in examples if example.split in splits}


def _some(patients: Collection[str]) -> str:
    names = ", ".join(sorted(patients)[:_NAMED])
    further = len(patients) - _NAMED
    return f"{len(patients)} ({names}{f' and {further} more' if further > 0 else ''})"
