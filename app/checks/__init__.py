"""Whether the service is sound: one list of checks, for `firstread doctor` and the operator's page alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.checks.wrong import Wrong
from app.domain.sentence import sentence
from app.errors import Problem
from app.settings import Settings

NOT_LOOKED_AT = sentence("Not looked at, since what it would ask does not answer.")


@dataclass(frozen=True)
class Finding:
    """One check's outcome; `fine` is None where it could not be made. `said` tells what to do."""

    name: str
    fine: bool | None
    said: str
    at: datetime

    @property
    def age_seconds(self) -> float:
        """How long ago it was looked at."""
        return (datetime.now(UTC) - self.at).total_seconds()


@dataclass(frozen=True, kw_only=True)
class Check:
    """`look` returns what is so, or raises Wrong. Not made while a check named in `after` is not fine."""

    name: str
    look: Callable[[Settings], str]
    after: tuple[str, ...] = ()
    good_for_seconds: float = 0.0
    """How long a page may show what was found before."""


def examine(
    configured: Settings,
    checks: Sequence[Check],
    *,
    unforeseen: Callable[[Exception], str] = lambda error: type(error).__name__,
) -> Iterator[Finding]:
    """Makes the checks in their order, each now; `unforeseen` says an error that no check expects."""
    fine: dict[str, bool | None] = {}
    for check in checks:
        finding = _found(check, configured, fine, unforeseen)
        fine[check.name] = finding.fine
        yield finding


_remembered: dict[str, Finding] = {}
_one_looks = threading.Lock()


def latest(configured: Settings, checks: Sequence[Check]) -> list[Finding]:
    """What was found of each, looked at again where it is older than it may be; one thread looks for all."""
    with _one_looks:
        due = [check for check in checks if not _is_good(check)]
        fine = {name: finding.fine for name, finding in _remembered.items()}
        for check in due:
            finding = _found(check, configured, fine, lambda error: type(error).__name__)
            fine[check.name] = finding.fine
            _remembered[check.name] = finding
        return [_remembered[check.name] for check in checks]


def forget() -> None:
    """The next look is a fresh one."""
    _remembered.clear()


def _is_good(check: Check) -> bool:
    finding = _remembered.get(check.name)
    return finding is not None and finding.fine is True and finding.age_seconds < check.good_for_seconds


def _found(
    check: Check,
    configured: Settings,
    fine: dict[str, bool | None],
    unforeseen: Callable[[Exception], str],
) -> Finding:
    moment = datetime.now(UTC)
    if not all(fine.get(name, True) for name in check.after):
        return Finding(check.name, None, NOT_LOOKED_AT, moment)
    try:
        return Finding(check.name, True, check.look(configured), moment)
    except Wrong as wrong:
        return Finding(check.name, False, str(wrong), moment)
    except Problem as problem:
        return Finding(check.name, False, problem.detail, moment)
    except Exception as error:  # noqa: BLE001, a doctor who faints helps nobody
        return Finding(check.name, False, unforeseen(error), moment)
