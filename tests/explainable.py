"""A bundle that can make occlusion maps, and images it has read."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from app.blobs import Blobs
from app.commands import recording
from app.domain.order import Credits
from app.records import Image, ImageReading
from app.records.engine import transaction
from models.bundle import default_bundle_path
from models.bundle_file import HEALTHY_CHEST, seal, unseal
from models.healthy_chest import as_png
from models.phantom import phantom
from models.preprocess import prepare
from tests.builders import TESTED_MAP, a_bundle, an_admitted_study, claimed, image_read

OCCLUSION_PASSED = {
    "passes": False,
    "failed": ["It points at the arm."],
    "finding": "pneumonia",
    "occlusion_map": {"passes": True, "failed": []},
}
"""What a bundle says whose activation map failed and whose occlusion map may be shown."""


def stored_bundle(blobs: Blobs, *, healthy_chest: bool = True) -> str:
    """The shipped bundle's network with a drawn healthy chest, or without any; its sha256."""
    members = {name: data for name, data in unseal(default_bundle_path())[0].items() if name != HEALTHY_CHEST}
    if healthy_chest:
        members[HEALTHY_CHEST] = as_png(prepare(phantom(0), side=160))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "explainable.bundle"
        seal(path, members)
        return blobs.put(path.read_bytes())


def a_read_image(
    blobs: Blobs, bundle: str, *, explanations: Mapping[str, Any] | None = TESTED_MAP
) -> tuple[UUID, UUID, str]:
    """A study with one image that this bundle has read: the study's id, the id of the image's reading, the
    sha256 of its bytes.
    """
    study_id = an_admitted_study(blobs).study_id
    with transaction() as session:
        a_bundle(session, bundle, explanations=explanations)
        [study] = claimed(session)
        recording.record(
            session,
            read=[(study, [image_read(study.images[0].image_id)])],
            bundle_sha256=bundle,
            runtime="test",
            credits=Credits(),
        )
        image = select(Image.sha256).where(Image.study_id == study_id)
        return study_id, session.scalars(select(ImageReading.id)).one(), session.scalars(image).one()
