"""What the processes log: one line per event, without what their variables hold."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import httpx
import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.cli.logs import configure_logs
from app.records.engine import transaction
from app.settings import Settings


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    senders = {name: logging.getLogger(name).level for name in ("httpx", "httpcore")}
    yield
    root.handlers, root.level = handlers, level
    for name, before in senders.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def test_a_traceback_in_the_log_shows_no_variables(
    capsys: pytest.CaptureFixture[str], restored_logging: None
) -> None:
    configure_logs(Settings(log_format="json"))
    patient_name = "Muster" + "^Anna"
    try:
        raise ValueError(len(patient_name))
    except ValueError:
        structlog.get_logger("test").exception("broke")
    line = capsys.readouterr().err
    assert json.loads(line)["exception"][0]["exc_type"] == "ValueError"
    assert "Muster" not in line


def test_the_address_to_which_something_is_sent_is_in_no_log(
    capsys: pytest.CaptureFixture[str], restored_logging: None
) -> None:
    configure_logs(Settings(log_format="json"))
    receiver = httpx.MockTransport(lambda _: httpx.Response(204))
    with httpx.Client(transport=receiver) as client:
        client.post("https://10.1.2.3/hooks/a-secret?token=another")
    structlog.get_logger("test").info("sent")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "sent"


def test_a_database_error_does_not_quote_its_parameters(database: str) -> None:
    with pytest.raises(DBAPIError) as refusal, transaction() as session:
        session.execute(text("SELECT 1 / :zero, :name"), {"zero": 0, "name": "Muster^Anna"})
    assert "Muster" not in str(refusal.value)
