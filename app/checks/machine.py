"""Checks of this machine: disks, folders, files with secrets, decoders, the time zone."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.blobs import Blobs
from app.checks import Check
from app.checks.wrong import Wrong
from app.domain.sentence import sentence
from app.errors import NotFound, Problem
from app.language import N_
from app.queries import soundness
from app.records.engine import transaction
from app.settings import Settings

LEAST_FREE_BYTES = 1024**3
_NEWEST, _OTHERS = 50, 50
_MOST_HASHED_BYTES = 64 * 1024**2
_MOUNTED_SECRETS = Path("/run/secrets")
"""Where containers are given secrets; everybody in the container is the service."""
_DECODERS = ("imagecodecs", "jpeg_ls", "rle", "openjpeg", "gdcm")


def disk(configured: Settings) -> str:
    """There is room where the service writes."""
    least = None
    for folder in (configured.home.absolute(), configured.blob_folder.absolute()):
        free = shutil.disk_usage(_nearest(folder)).free
        gigabytes = f"{free / 1e9:.1f}"
        if free < LEAST_FREE_BYTES:
            raise Wrong(
                sentence(f"Only {gigabytes} GB are free at {folder}; make room: a full disk refuses uploads.")
            )
        least = free if least is None else min(least, free)
    gigabytes = f"{(least or 0) / 1e9:.0f}"
    return sentence(f"There is room for what comes: {gigabytes} GB are free.")


def folder_of_blobs(configured: Settings) -> str:
    """Bytes can be stored."""
    folder = configured.blob_folder.absolute()
    try:
        with Blobs(folder).stage(max_bytes=1) as staged:
            staged.write(b"x")
            staged.sync()
    except (Problem, OSError) as error:
        kind = type(error).__name__
        raise Wrong(
            sentence(
                f"The folder {folder} cannot be written ({kind}), and uploads are refused. See that it is a"
                " folder, that it is mounted, and that this account may write there."
            )
        ) from error
    return sentence("Bytes can be stored.")


def stored_bytes(configured: Settings) -> str:
    """The newest images and some others are there and whole, as far as a short look tells."""
    with transaction() as session:
        images = soundness.some_images(session, newest=_NEWEST, others=_OTHERS)
    blobs, hashed, bad = Blobs(configured.blob_folder), 0, []
    for image in images:
        thorough = hashed + image.byte_size <= _MOST_HASHED_BYTES
        hashed += image.byte_size if thorough else 0
        if not _is_whole(blobs, image.sha256, size=image.byte_size, thorough=thorough):
            bad.append(image.sha256)
    if bad:
        count, first = len(bad), bad[0]
        raise Wrong(
            sentence(
                f"Stored images that are missing or damaged: {count}, first {first}. Restore them from a"
                " backup."
            )
        )
    count = len(images)
    return sentence(f"Stored images looked at and whole: {count}.")


def bundle_file(configured: Settings, sha256: str) -> None:
    """The bundle's stored bytes are those that were promoted. Raises Wrong."""
    if not _is_whole(Blobs(configured.blob_folder), sha256, size=None, thorough=True):
        bundle = sha256[:12]
        raise Wrong(
            sentence(
                f"The stored file of the promoted network ({bundle}) is missing or damaged. Restore it from a"
                " backup, or promote another."
            )
        )


def secrets(configured: Settings) -> str:
    """Files with secrets are read by this account and no other."""
    settings = [getattr(configured, name, None) for name in type(configured).model_fields if _is_secret(name)]
    files = [file for file in settings if isinstance(file, Path)]
    if configured.service_file.exists():
        files.append(configured.service_file)
    for file in files:
        try:
            with file.open("rb"):
                pass
            mode = file.stat().st_mode
        except OSError as error:
            kind = type(error).__name__
            raise Wrong(
                sentence(f"{file} cannot be read ({kind}). See that it is there and that this account may.")
            ) from error
        if mode & 0o007 and _MOUNTED_SECRETS not in file.parents:
            raise Wrong(sentence(f"{file} holds a secret and is open to every account. Run chmod 600 on it."))
    return sentence("No file with a secret is open to others.")


def time_zone(configured: Settings) -> str:
    """The site's time zone is one."""
    zone = configured.time_zone
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Wrong(
            sentence(
                f"FIRSTREAD_TIME_ZONE names no time zone ({zone}), and times are shown in UTC. Set one such"
                " as Europe/Berlin."
            )
        ) from error
    return sentence(f"Times are shown in {zone}.")


def decoders(_configured: Settings) -> str:
    """Every codec is installed."""
    missing = ", ".join(name for name in _DECODERS if importlib.util.find_spec(name) is None)
    if missing:
        raise Wrong(
            sentence(
                f"Some transfer syntaxes cannot be decoded for want of {missing}. Install FirstRead anew."
            )
        )
    return sentence("All decoders are installed.")


def cookies(configured: Settings) -> str:
    """Where people come by https, the session's cookie crosses nothing else."""
    if not (configured.public_url or "").lower().startswith("https:"):
        return sentence("FIRSTREAD_PUBLIC_URL is no https address, and cookies may cross plain HTTP.")
    if configured.insecure_cookies:
        raise Wrong(
            sentence(
                "FIRSTREAD_PUBLIC_URL is an https address, and the cookies of sessions may still cross plain"
                " HTTP, where others can read them. Set FIRSTREAD_INSECURE_COOKIES=false for the web servers."
            )
        )
    return sentence("The cookies of sessions cross TLS alone.")


def _is_secret(name: str) -> bool:
    return name.endswith(("_file", "_certificate"))


def _is_whole(blobs: Blobs, sha256: str, *, size: int | None, thorough: bool) -> bool:
    try:
        path = blobs.path(sha256)
        if size is not None and path.stat().st_size != size:
            return False
        if not thorough:
            return True
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except (NotFound, OSError):
        return False


def _nearest(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


MACHINE = (
    Check(name=N_("disk"), look=disk),
    Check(name=N_("decoders"), look=decoders, good_for_seconds=600),
    Check(name=N_("time zone"), look=time_zone),
    Check(name=N_("secrets"), look=secrets),
    Check(name=N_("cookies"), look=cookies),
)
"""What can be told of a service that does not run."""
