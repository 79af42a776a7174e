"""Small labelled sets of drawn chests, and one bundle trained on them for all tests."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from models.manifest import Manifest
from models.phantom import phantom
from models.train import TrainingOrder, train

PATIENTS = 40


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
    """A bundle trained in quick mode, the data it was trained on and the manifest it was given."""

    path: Path
    data: Path
    manifest: Manifest


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some sixty drawn chests of forty patients, half with an opacity."""
    return draw_set(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def trained(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """What quick training makes of the drawn chests."""
    out = tmp_path_factory.mktemp("trained") / "drawn.bundle"
    manifest = train(
        TrainingOrder(data=drawn, out=out, side=96, threads=1, name="drawn", data_statement="drawn")
    )
    return Trained(out, drawn, manifest)
