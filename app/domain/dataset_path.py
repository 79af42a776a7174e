"""What a file of a dataset may be called: a path below the dataset, with slashes, that leads nowhere else."""

from __future__ import annotations

import re

from app.errors import Unprocessable

MOST_FILES = 100_000
"""Files of one dataset."""
LONGEST = 400
DEEPEST = 16
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"^[A-Za-z]:")


def clean_path(path: str) -> str:
    """The path without empty parts and "."; raises Unprocessable for one that is absolute, climbs out, has
    backslashes or control characters, or is too long or too deep.
    """
    if "\\" in path:
        raise Unprocessable("A file's path has backslashes. Send it with slashes between the folders.")
    if path.startswith("/") or _DRIVE.match(path):
        raise Unprocessable("A file's path begins at the root. Send paths below the dataset's folder.")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Unprocessable("A file's path leads out of the dataset's folder. Send paths below it.")
    if _CONTROL.search(path):
        raise Unprocessable("A file's path has control characters. Rename the file.")
    if not parts:
        raise Unprocessable("A file has no name. Send its path below the dataset's folder as its file name.")
    if len(path) > LONGEST or len(parts) > DEEPEST:
        raise Unprocessable(
            f"A file's path is too long: at most {LONGEST} characters and {DEEPEST} folders. Shorten it."
        )
    return "/".join(parts)
