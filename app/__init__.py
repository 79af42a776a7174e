"""The application: rules, records, DICOM, storage, commands, queries and the web."""
