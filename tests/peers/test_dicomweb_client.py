"""dicomweb-client, as research code and OHIF's tools use it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless

from tests.builders import a_dicom
from tests.served import Service


@pytest.fixture
def archive(served: Service, key: str) -> DICOMwebClient:
    return DICOMwebClient(f"{served.url}/dicomweb", headers={"Authorization": f"Bearer {key}"})


def dataset(data: bytes) -> Dataset:
    return dcmread(io.BytesIO(data))


def test_it_stores_searches_and_retrieves(archive: DICOMwebClient) -> None:
    first = a_dicom(study_instance_uid="1.2.3", series_instance_uid="1.2.3.1", patient_id="P1")
    second = a_dicom(study_instance_uid="1.2.3", series_instance_uid="1.2.3.2", patient_id="P1")
    other = a_dicom(patient_id="P2")
    answer = archive.store_instances([dataset(first), dataset(second), dataset(other)])
    assert len(answer.ReferencedSOPSequence) == 3

    [study] = archive.search_for_studies(search_filters={"PatientID": "P1"})
    assert study["0020000D"]["Value"] == ["1.2.3"]
    assert (study["00201206"]["Value"], study["00201208"]["Value"]) == ([2], [2])
    assert {s["0020000E"]["Value"][0] for s in archive.search_for_series("1.2.3")} == {"1.2.3.1", "1.2.3.2"}
    [instance] = archive.search_for_instances("1.2.3", "1.2.3.1")
    assert instance["00080018"]["Value"] == [dataset(first).SOPInstanceUID]

    uids = ("1.2.3", "1.2.3.1", str(dataset(first).SOPInstanceUID))
    assert archive.retrieve_instance(*uids) == dataset(first)
    assert len(archive.retrieve_study("1.2.3")) == 2
    assert len(archive.retrieve_series("1.2.3", "1.2.3.2")) == 1
    metadata = Dataset.from_json(archive.retrieve_instance_metadata(*uids))
    assert metadata.PatientID == "P1"
    assert len(archive.retrieve_study_metadata("1.2.3")) == 2
    [frame] = archive.retrieve_instance_frames(*uids, frame_numbers=[1])
    assert np.frombuffer(frame, "<u2").tobytes() == dataset(first).PixelData
    rendered = archive.retrieve_instance_rendered(*uids, media_types=("image/jpeg",))
    assert rendered[:2] == b"\xff\xd8"


def test_it_retrieves_a_compressed_frame_as_stored_and_decoded(archive: DICOMwebClient) -> None:
    data = a_dicom(transfer_syntax=JPEGLSLossless)
    archive.store_instances([dataset(data)])
    stored = dataset(data)
    uids = (stored.StudyInstanceUID, stored.SeriesInstanceUID, stored.SOPInstanceUID)
    [compressed] = archive.retrieve_instance_frames(
        *uids, frame_numbers=[1], media_types=(("image/jls", JPEGLSLossless),)
    )
    assert compressed[:2] == b"\xff\xd8"
    [plain] = archive.retrieve_instance_frames(
        *uids, frame_numbers=[1], media_types=(("application/octet-stream", "1.2.840.10008.1.2.1"),)
    )
    assert len(plain) == stored.Rows * stored.Columns * 2


def test_it_stores_into_one_study_only_what_belongs_there(archive: DICOMwebClient) -> None:
    here, there = a_dicom(study_instance_uid="1.2.3"), a_dicom(study_instance_uid="1.2.4")
    answer = archive.store_instances([dataset(here), dataset(there)], study_instance_uid="1.2.3")
    assert len(answer.ReferencedSOPSequence) == 1
    assert answer.FailedSOPSequence[0].FailureReason == 0xA900
