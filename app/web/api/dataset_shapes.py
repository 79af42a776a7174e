"""Datasets and their files as the REST interface shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from app.commands import dataset_labels, datasets
from app.queries.datasets import DatasetListed, FileShown
from app.told import told
from app.web.api.jobs import Job
from app.web.api.values import Input
from app.web.datasets import FileSaid
from app.web.openapi import ProblemDocument, files_of, form_of
from app.web.problems import document

FILES = form_of(
    "files",
    files=files_of(
        "DICOM, PNG or JPEG, a manifest.csv, or a zip; each file's name is its path below the dataset, as "
        "train/NORMAL/1.png."
    ),
)


class NewDataset(Input):
    """What a dataset is called."""

    name: str = Field(max_length=datasets.LONGEST_NAME)


class Class(BaseModel):
    """Usable pictures of one class."""

    label: str
    pictures: int
    patients: int
    splits: dict[str, int] = Field(description="By split; empty name where the dataset names none.")


class Dataset(BaseModel):
    """A dataset; what was found in it once it was inspected."""

    id: UUID
    url: str
    page_url: str
    name: str
    state: str = Field(description="receiving, inspecting, ready or refused")
    said: str | None = Field(description="Why it was refused.")
    created_at: datetime
    created_by: str
    used_at: datetime | None = Field(description="When a snapshot first took from it; then it stays.")
    files: int
    usable: int


class WholeDataset(Dataset):
    """The same with all that was found."""

    byte_size: int
    inspected_at: datetime | None
    outcomes: dict[str, int] = Field(description="Files by outcome; an empty name before the inspection.")
    classes: list[Class]
    warnings: list[str]
    crossing: list[dict[str, Any]] = Field(description="Patients in more than one split, 500 at most.")
    likely_label_errors: int
    job: Job | None


class FileAnswer(BaseModel):
    """What became of one file."""

    name: str | None
    outcome: str = Field(description="received, known or refused")
    sha256: str | None = None
    problem: ProblemDocument | None = None


class Received(BaseModel):
    """The files are safe: they are on the disk and the dataset's."""

    files: list[FileAnswer]


class Path(BaseModel):
    """A file that is there."""

    path: str
    byte_size: int


class Paths(BaseModel):
    """Files that are there, in the order of their paths."""

    files: list[Path]
    after: UUID | None = Field(description="Ask on with this; none where these were the last.")


class File(BaseModel):
    """A file with what the inspection says of it."""

    id: UUID
    path: str
    sha256: str
    label: str | None
    brought_label: str | None
    patient_key: str | None
    split: str | None
    outcome: str | None
    reason: str | None
    copy_of: str | None
    doubt: float | None = Field(
        description="1 less the probability of the label, by a head that had not seen it"
    )
    facts: dict[str, Any]


class Files(BaseModel):
    """One page of files."""

    files: list[File]
    more: bool


class Decision(Input):
    """Another label, or left out."""

    label: str | None = Field(default=None, max_length=dataset_labels.LONGEST_LABEL)
    left_out: bool = False


def listed(one: DatasetListed) -> dict[str, Any]:
    return {
        "id": one.id,
        "url": f"/api/v1/datasets/{one.id}",
        "page_url": f"/training/datasets/{one.id}",
        "name": one.name,
        "state": one.state,
        "said": told(one.said) or None,
        "created_at": one.created_at,
        "created_by": one.created_by,
        "used_at": one.used_at,
        "files": one.files,
        "usable": one.usable,
    }


def file_of(one: FileShown) -> File:
    fields = {name: getattr(one, name) for name in File.model_fields}
    return File(**fields | {"reason": told(one.reason) or None})


def answer_of(said: FileSaid) -> FileAnswer:
    return FileAnswer(
        name=said.name,
        outcome=said.outcome,
        sha256=said.sha256,
        problem=None if said.problem is None else ProblemDocument(**document(said.problem)),
    )
