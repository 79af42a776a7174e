"""The web: pages for people, REST for machines, DICOMweb for archives; the only room that knows FastAPI."""
