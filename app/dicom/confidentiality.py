"""What becomes of each attribute when a radiograph leaves without its patient: the Basic Application Level
Confidentiality Profile (PS3.15 annex E, table E.1-1, 2024b), of those attributes that CR and DX images need.

Whatever stands in none of these tables is removed, which the profile allows: all of table E.1-1 with action
X, private attributes, curves and overlays, and what no table knows.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """A coded option of context group CID 7050."""

    value: str
    meaning: str


BASIC_PROFILE = Code("113100", "Basic Application Confidentiality Profile")
CLEAN_PIXEL_DATA = Code("113101", "Clean Pixel Data Option")
MODIFIED_DATES = Code("113107", "Retain Longitudinal Temporal Information Modified Dates Option")

KEPT = frozenset(
    {
        *("SOPClassUID", "Modality", "PresentationIntentType", "ConversionType"),
        *("ImageLaterality", "Laterality", "PatientOrientation", "ViewPosition", "SeriesNumber"),
        *("InstanceNumber", "AcquisitionNumber", "SamplesPerPixel", "PhotometricInterpretation"),
        *("PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "BitsAllocated"),
        *("BitsStored", "HighBit", "PixelRepresentation", "PixelAspectRatio"),
        *("SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue"),
        *("PixelPaddingRangeLimit", "RedPaletteColorLookupTableDescriptor"),
        *("GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor"),
        *("RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData"),
        *("BluePaletteColorLookupTableData", "PixelSpacing", "ImagerPixelSpacing"),
        *("NominalScannedPixelSpacing", "PixelSpacingCalibrationType"),
        *("EstimatedRadiographicMagnificationFactor", "PixelIntensityRelationship"),
        *("PixelIntensityRelationshipSign", "RescaleIntercept", "RescaleSlope", "RescaleType"),
        *("WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape"),
        *("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
        *("KVP", "ExposureTime", "XRayTubeCurrent", "Exposure", "ExposureInuAs"),
        *("ExposureTimeInuS", "XRayTubeCurrentInuA", "DistanceSourceToDetector"),
        *("DistanceSourceToPatient", "Grid", "FocalSpots", "FilterType", "ExposureIndex"),
        *("TargetExposureIndex", "DeviationIndex", "RelativeXRayExposure", "Sensitivity"),
        *("DetectorType", "FieldOfViewShape", "FieldOfViewDimensions", "FieldOfViewRotation"),
        *("FieldOfViewHorizontalFlip", "PixelData"),
    }
)
"""K: numbers and codes of how the image was made and is to be shown; table E.1-1 has none of them."""

KEPT_SEQUENCES: dict[str, frozenset[str]] = {
    "ModalityLUTSequence": frozenset({"LUTDescriptor", "ModalityLUTType", "LUTData"}),
    "VOILUTSequence": frozenset({"LUTDescriptor", "LUTData"}),
    "PresentationLUTSequence": frozenset({"LUTDescriptor", "LUTData"}),
}
"""C: look-up tables without their explanations, which are free text."""

CODED_SEQUENCES = frozenset({"AnatomicRegionSequence", "ViewCodeSequence"})
"""C: codes of the standard's own vocabularies, with the meaning that these have for them."""
KNOWN_CODES: dict[tuple[str, str], str] = {
    ("T-D3000", "SRT"): "Chest",
    ("51185008", "SCT"): "Chest",
    ("T-28000", "SRT"): "Lung",
    ("39607008", "SCT"): "Lung",
    ("R-10206", "SRT"): "antero-posterior",
    ("399348003", "SCT"): "antero-posterior",
    ("R-10214", "SRT"): "postero-anterior",
    ("399341009", "SCT"): "postero-anterior",
}

EMPTIED = frozenset(
    {
        *("PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName"),
        *("StudyID", "StudyTime", "Manufacturer"),
    }
)
"""Z: of type 2, present and empty."""

DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
"""Removed (StudyDate emptied, being of type 2), or moved by as many days for all images of a patient."""

REPLACED_UIDS = frozenset({"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"})
"""U."""

IMAGE_TYPES = frozenset({"ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY"})
"""Of the values of ImageType those that are kept; the others are the makers' own words."""
