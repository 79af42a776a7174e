"""What the DICOM listener takes: the abstract and transfer syntaxes of its presentation contexts."""

from __future__ import annotations

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import _STORAGE_CLASSES

TRANSFER_SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian),
    *(JPEGLosslessSV1, JPEGLossless, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless, HTJ2KLosslessRPCL),
    *(RLELossless, JPEG2000, HTJ2K, JPEGLSNearLossless, JPEGExtended12Bit, JPEGBaseline8Bit),
)
"""All that can be decoded. The first of these that a sender offers in a context is taken: none that loses
anything where it offers another.
"""
SOP_CLASSES = tuple(uid for uid in _STORAGE_CLASSES.values() if "Image Storage" in UID(uid).name)
"""Every image storage class: what the network may speak of is decided later, as for other ways in."""
ECHO = build_context("1.2.840.10008.1.1", list(TRANSFER_SYNTAXES[:2]))
ECHO_AND_STORE = (ECHO, *(build_context(uid, list(TRANSFER_SYNTAXES)) for uid in SOP_CLASSES))
