"""`firstread promote` and `rollback` against a service's database: the same gate, the same two people."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from app.blobs import Blobs
from app.cli import cli
from app.commands import registry
from app.domain.roles import Role
from app.errors import Conflict, Forbidden, NotFound, Unprocessable
from app.records.engine import transaction
from models.bundle import default_bundle_path
from tests.app.commands.candidates import a_stored_bundle, an_active_bundle, an_evaluation
from tests.builders import a_user


def told(*words: str) -> str:
    answer = CliRunner().invoke(cli, list(words))
    if answer.exception:
        raise answer.exception
    return answer.output


def refused(*words: str) -> str:
    answer = CliRunner().invoke(cli, list(words))
    assert isinstance(answer.exception, Conflict | Forbidden | NotFound | Unprocessable), answer.exception
    return answer.exception.detail


def reading() -> str | None:
    with transaction() as session:
        return registry.active_bundle(session)


def test_two_people_promote_from_the_terminal_and_one_goes_back(database: str, blobs: Blobs) -> None:
    with transaction() as session:
        active = an_active_bundle(session, blobs)
        candidate = a_stored_bundle(session, blobs, "2")
        an_evaluation(session, blobs, candidate)
        a_user(session, "ada", Role.ADMINISTRATOR)
        a_user(session, "reader", Role.RADIOLOGIST)
    words = ("promote", candidate[:10], "--reason", "fewer missed", "--as")
    assert "no administrator" in refused(*words, "reader")
    assert "Nobody else may approve it" in told(*words, "ada")
    with transaction() as session:
        a_user(session, "grace", Role.ADMINISTRATOR)
    assert "another administrator must approve" in refused(*words, "ada")
    assert reading() == active
    assert f"{candidate[:12]} reads from the next batch on." in told(*words, "grace")
    assert reading() == candidate
    assert active[:12] in told("rollback", "--reason", "odd", "--as", "ada")
    assert reading() == active
    assert "that read here before this one" in refused(
        "rollback", "--to", active[:8], "--reason", "odd", "--as", "ada"
    )


def test_a_file_becomes_known_and_must_be_evaluated_first(
    database: str, blobs: Blobs, tmp_path: Path
) -> None:
    with transaction() as session:
        an_active_bundle(session, blobs)
        a_user(session, "ada", Role.ADMINISTRATOR)
    said = refused("promote", str(default_bundle_path()), "--reason", "new", "--as", "ada")
    assert "not evaluated beside the bundle that reads now" in said
    nonsense = tmp_path / "x.bundle"
    nonsense.write_bytes(b"no bundle")
    assert "not a whole bundle" in refused("promote", str(nonsense), "--reason", "new", "--as", "ada")
    assert "names no bundle" in refused("promote", "abcdefabcdef", "--reason", "new", "--as", "ada")
