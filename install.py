"""Makes the environment in .venv, or finds that nothing has changed since it was made.

    python3.11 install.py [--extra test] [--extra export] [--extra browser] [--extra bench]

Needs only the standard library of Python 3.11. pip's own words go to .venv/install.log; the terminal gets
one line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
LOG = VENV / "install.log"
NEEDED_BYTES = 9_000_000_000
"""Measured: the environment takes 6.5 GB, nearly all of it torch and its GPU libraries, and pip unpacks
downloads first.
"""


class Refused(Exception):
    """The environment cannot be made; `str(error)` is a sentence."""


class Line:
    """One line of progress: rewritten in place on a terminal, a new line at most every twenty seconds
    elsewhere.
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._said = ""
        self._last = float("-inf")

    def say(self, text: str, *, at_once: bool = False) -> None:
        now = time.monotonic()
        words = f"Setting up {now - self.started:4.0f} s: {text}"
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{words[:width]}", end="", flush=True)
        elif text != self._said and (at_once or now - self._last >= 20):
            print(words, flush=True)
            self._last = now
            self._said = text

    def clear(self) -> None:
        if self._terminal:
            print("\r\033[K", end="", flush=True)


def wanted(extras: list[str]) -> dict[str, object]:
    """What the stamp says when the environment is as it should be."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return {
        "requirements": digest.hexdigest(),
        "python": sys.version.split()[0],
        "root": str(ROOT),
        "extras": sorted(extras),
    }


def installed() -> dict[str, object]:
    """What the stamp says of the environment that is there; {} when there is none that works."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) and PYTHON.exists() else {}


def count_packages() -> int:
    return sum(1 for _ in VENV.glob("lib/python*/site-packages/*.dist-info"))


def create() -> None:
    """`.venv` holds a Python with pip."""
    if (
        PYTHON.exists()
        and subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode
        == 0
    ):
        version = subprocess.run(
            [PYTHON, "-c", "import sys; print(sys.version.split()[0])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if version.stdout.strip() == sys.version.split()[0]:
            return
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", VENV], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        words = (made.stdout + made.stderr).strip().splitlines() or ["it gave no reason"]
        if "ensurepip" in made.stdout + made.stderr:
            major, minor = sys.version_info[:2]
            raise Refused(
                "This Python has no venv module; on Debian and Ubuntu: apt-get install "
                f"python{major}.{minor}-venv."
            )
        raise Refused(f"The environment {VENV} could not be made: {words[-1]}")


def install(extras: list[str], line: Line) -> None:
    """Everything in pyproject.toml is in `.venv`, in the versions of constraints.txt."""
    target = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    command: list[str | Path] = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar",
        "off",
        "--no-compile",  # compile_modules does it on all cores
    ]
    command += ["--constraint", ROOT / "constraints.txt", "--editable", target]
    before = count_packages()
    found: set[str] = set()
    total = 0
    what = "asking the package index"
    with LOG.open("w") as log:
        pip = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            with LOG.open() as said:
                while pip.poll() is None:
                    for words in said:
                        if match := re.match(r"Collecting ([\w.-]+)", words):
                            found.add(match[1].lower())
                            what = f"package {len(found)}, {match[1]}"
                        elif match := re.match(
                            r"\s+(?:Downloading|Using cached) (\S+?)-\d\S* \((.*)\)", words
                        ):
                            what = f"package {len(found)}, {match[1].rpartition('/')[2]} ({match[2]})"
                        elif words.startswith("Installing collected packages:"):
                            total = words.count(",") + 1
                    if total:
                        what = f"installing, {min(count_packages() - before, total)} of {total} packages"
                    line.say(what)
                    time.sleep(0.2)
        finally:
            if pip.poll() is None:
                pip.terminate()
                pip.wait()
    if pip.returncode != 0:
        errors = [said for said in LOG.read_text().splitlines() if said.startswith("ERROR:")]
        reason = errors[-1].removeprefix("ERROR:").strip() if errors else "pip gave no reason"
        raise Refused(f"The packages could not be installed: {reason.rstrip('.')}. {LOG} says more.")


def compile_modules() -> None:
    """Python finds its modules compiled, also where it is told to write no such files itself."""
    command: list[str | Path] = [PYTHON, "-m", "compileall", "-q", "-j", "0", "-x", "/tests?/"]
    subprocess.run([*command, *VENV.glob("lib/python*/site-packages")], capture_output=True, check=False)


def check_room() -> None:
    free = shutil.disk_usage(ROOT).free
    if not VENV.exists() and free < NEEDED_BYTES:
        raise Refused(
            f"The disk is too full: the environment needs {NEEDED_BYTES / 1e9:.0f} GB in {ROOT} and "
            f"{free / 1e9:.1f} GB are free."
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Makes the environment in .venv, unless it is there and up to date."
    )
    parser.add_argument(
        "--extra", action="append", default=[], choices=("test", "export", "browser", "bench")
    )
    asked = parser.parse_args().extra
    there = installed()
    known = there.get("extras")
    extras = sorted({*asked, *(known if isinstance(known, list) else [])})
    if there == wanted(extras):
        return 0
    line = Line()
    try:
        check_room()
        line.say("the environment in .venv: some minutes, 6.5 GB")
        create()
        STAMP.unlink(missing_ok=True)
        install(extras, line)
        line.say("compiling modules", at_once=True)
        compile_modules()
        STAMP.write_text(json.dumps(wanted(extras)))
    except KeyboardInterrupt:
        line.clear()
        print("Set-up interrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    except (Refused, OSError) as error:
        line.clear()
        print(error, file=sys.stderr)
        return 1
    line.clear()
    print(f"Environment ready after {time.monotonic() - line.started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
