"""The containers' description: every command and variable is real, nothing secret stands in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from app.cli import cli
from app.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("firstread:")}
LASTING = sorted(set(SERVICES) - {"prepare"})
SECRET = re.compile(r"PASSWORD|PASSPHRASE|SECRET|TOKEN|_KEY$")
FIXED = {"home", "host", "database_url", "broker_url", "log_format"}
"""Settings that are the containers' own, the same in each."""
ONE_PART = {"admin_password": "prepare", "oidc_client_secret": "web", "backup_passphrase": "duty"}
"""Secrets, and who alone is given them."""
EXCUSED = {
    "port": "the web server listens on 8000 in its container; PORT is where that is published",
    "web_processes": "only `firstread up` starts several; a container is one",
    "blobs": "the blobs lie in the volume, below the home",
    "device": "the profile says it: cpu or gpu",
    "dimse_host": "the listener's own container listens everywhere; a port is published",
    "dimse_port": "published as it is, so that the line that pages show is right",
}
"""Settings that are not taken over, each with the reason."""


def commands() -> dict[str, Any]:
    group = typer.main.get_command(cli)
    return dict(group.commands)  # type: ignore[attr-defined]


def test_every_part_of_the_service_is_there() -> None:
    ours = {"prepare", "web", "screen", "screen-gpu", "duty", "train", "dimse"}
    assert set(SERVICES) == {"postgres", "valkey", *ours}
    assert len({service["image"] for service in OURS.values()}) == 1


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_is_one_of_the_command_line(name: str) -> None:
    assert OURS[name]["command"][0] in commands()


@pytest.mark.parametrize("name", LASTING)
def test_every_lasting_part_has_a_health_check_and_comes_back(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= set(check)
    assert SERVICES[name]["restart"] == "unless-stopped"
    if name in OURS:
        assert check["test"][1:3] == ["firstread", "alive"]
        assert check["test"][2] in commands()


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_of_ours_is_a_setting(name: str) -> None:
    known = {f"FIRSTREAD_{field.upper()}" for field in Settings.model_fields}
    assert set(OURS[name]["environment"]) <= known


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_every_setting_of_the_environment_reaches_every_part_or_is_excused(field: str) -> None:
    variable = "PORT" if field == "port" else f"FIRSTREAD_{field.upper()}"
    given = {name: service["environment"].get(variable, "") for name, service in OURS.items()}
    taken_over = {name for name, value in given.items() if value is None}
    if field in FIXED:
        assert all(given.values()), given
    elif field in EXCUSED:
        assert not taken_over
    else:
        assert taken_over == ({ONE_PART[field]} if field in ONE_PART else set(OURS))


def test_files_that_settings_name_are_seen_by_every_part_and_changed_by_none() -> None:
    for service in OURS.values():
        assert service["volumes"][1] == "${FIRSTREAD_FILES:-files}:/files:ro"
    assert "files" in COMPOSE["volumes"]


def test_no_secret_is_built_into_the_image() -> None:
    assert ".env" in (ROOT / ".dockerignore").read_text().splitlines()
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_secret_stands_in_the_file(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if SECRET.search(variable):
            assert value is None or re.fullmatch(r"\$\{FIRSTREAD_[A-Z_]+:\?[^}]*\}", value), variable
    for password in re.findall(r"://[^:/@\s]+:(.+?)@", (ROOT / "docker-compose.yml").read_text()):
        assert password.startswith("${")


def test_the_database_can_hold_vectors_and_keeps_what_it_is_given() -> None:
    assert "pgvector" in SERVICES["postgres"]["image"]
    for name in set(SERVICES) - {"prepare"}:
        assert SERVICES[name]["volumes"][0].split(":")[0] in COMPOSE["volumes"]


def test_a_gpu_is_reserved_in_a_profile_of_its_own() -> None:
    [device] = SERVICES["screen-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert SERVICES["screen-gpu"]["profiles"] == ["gpu"]
    assert SERVICES["screen"]["profiles"] == ["cpu"]


@pytest.mark.parametrize("name", ["web", "screen", "screen-gpu", "duty", "train", "dimse"])
def test_nothing_starts_before_the_database_is_prepared(name: str) -> None:
    assert SERVICES[name]["depends_on"]["prepare"] == {"condition": "service_completed_successfully"}


def test_the_image_runs_as_an_unprivileged_user() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    user = [line.split()[1] for line in lines if line.startswith("USER ")][-1]
    assert user == "firstread"
    assert lines.index("USER firstread") < lines.index('ENTRYPOINT ["firstread"]')
