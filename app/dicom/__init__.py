"""Everything that knows DICOM: headers, the header gate, pixels, DICOMweb's documents. The only door to
pydicom.
"""
