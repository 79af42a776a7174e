"""Small labelled sets of drawn chests, and one bundle trained on them for all tests."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from models.bundle import BundleRefused, ImageScreening
from models.bundle_file import MANIFEST, seal, unseal
from models.manifest import Manifest, from_json
from models.phantom import phantom
from models.train import TrainingOrder, train
from tests.distribution import made_once
from tests.told_everywhere import listen

listen(ImageScreening, "reason", "notices", "unlike")
listen(BundleRefused, "args")

PATIENTS = 40
NAME = "drawn.bundle"


def draw_set(folder: Path, *, patients: int = PATIENTS, side: int = 96) -> Path:
    """A folder with NORMAL and PNEUMONIA, one or two images a patient, and a manifest that names the
    patients.
    """
    rows = []
    for number in range(patients):
        label = "PNEUMONIA" if number % 2 else "NORMAL"
        for image in range(1 + (number % 4 == 1)):
            picture = phantom(number * 10 + image, rows=side + 20, columns=side, opacity=number % 2 == 1)
            path = Path(label) / f"p{number:03d}_{image}.png"
            (folder / label).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / path), picture)
            rows.append({"path": str(path), "label": label, "patient_key": f"p{number:03d}", "split": ""})
    write_manifest(folder / "manifest.csv", rows)
    return folder


def write_manifest(path: Path, rows: list[dict[str, str]]) -> Path:
    """A manifest CSV with the columns of the first row."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@dataclass(frozen=True)
class Trained:
    """A bundle trained in quick mode, the data it was trained on and the manifest in it."""

    path: Path
    data: Path
    manifest: Manifest


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some sixty drawn chests of forty patients, half with an opacity."""
    return made_once(tmp_path_factory, "drawn", draw_set)


@pytest.fixture(scope="session")
def trained(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """What quick training makes of the drawn chests."""
    folder = made_once(tmp_path_factory, "trained", lambda folder: train(quick_order(drawn, folder / NAME)))
    members, _ = unseal(folder / NAME)
    return Trained(folder / NAME, drawn, from_json(members[MANIFEST], sha256=""))


def quick_order(data: Path, out: Path) -> TrainingOrder:
    """The order by which the bundle of these tests is trained."""
    return TrainingOrder(data=data, out=out, side=96, threads=1, name="drawn", data_statement="drawn")


def resealed(source: Path, target: Path, **changes: object) -> Path:
    """The bundle with parts of its manifest changed and sealed again: whole, but not what was trained."""
    members, _ = unseal(source)
    document = json.loads(members[MANIFEST]) | changes
    seal(target, members | {MANIFEST: json.dumps(document).encode()})
    return target
