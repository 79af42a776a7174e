"""`firstread user`: the people who sign in."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

users = typer.Typer(help="The people who sign in.", no_args_is_help=True)


@users.command("add")
def add(
    username: Annotated[str, typer.Argument(help="Letters a-z, digits, '.', '_', '@' or '-'.")],
    role: Annotated[
        str,
        typer.Option(help="radiologist, integrator, administrator, operator, auditor; several with commas."),
    ] = "radiologist",
    name: Annotated[str, typer.Option(help="The name shown on pages.")] = "",
) -> None:
    """Add a person; prints the one-time password, which must be changed at the first sign-in."""
    from app.cli.choices import choices
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import people
    from app.domain.roles import Role
    from app.records.engine import transaction

    roles = [Role(part) for part in choices(role, "role", [each.value for each in Role])]
    running_settings()
    with transaction() as session:
        password = people.add_user(
            session, username=username, display_name=name, roles=roles, by=at_the_terminal()
        )
    print(password)


@users.command("list")
def list_() -> None:
    """List everybody, with roles and last sign-in."""
    from rich.console import Console
    from rich.table import Table

    from app.cli.running import running_settings
    from app.queries import people
    from app.records.engine import transaction

    running_settings()
    with transaction() as session:
        known = people.users(session)
    table = Table("User", "Name", "Roles", "Last signed in", "State", box=None)
    for user in known:
        seen = f"{user.last_signed_in_at:%Y-%m-%d %H:%M} UTC" if user.last_signed_in_at else "never"
        states = {
            "disabled": user.disabled,
            "locked": user.locked_until is not None,
            "one-time password": user.must_change_password,
            "second factor": user.second_factor,
            "at the provider": user.at_provider,
        }
        state = ", ".join(name for name, holds in states.items() if holds)
        table.add_row(user.username, user.display_name, ", ".join(user.roles), seen, state)
    Console(highlight=False).print(table)


@users.command("disable")
def disable(username: str) -> None:
    """Keep a person out from now on; what they did stays under their name."""
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import people
    from app.records.engine import transaction

    running_settings()
    with transaction() as session:
        people.disable_user(session, user_id=_id_of(username), by=at_the_terminal())
    print(f"{username} cannot sign in any more.")


@users.command("enable")
def enable(username: str) -> None:
    """Let a person in again, with a new one-time password, which it prints."""
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import people
    from app.records.engine import transaction

    running_settings()
    with transaction() as session:
        one_time = people.enable_user(session, user_id=_id_of(username), by=at_the_terminal())
    print(one_time or f"{username} can sign in at the provider again.")


@users.command("password")
def password(username: str) -> None:
    """Give a person a new one-time password, which it prints."""
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import people
    from app.records.engine import transaction

    running_settings()
    with transaction() as session:
        one_time = people.reset_password(session, user_id=_id_of(username), by=at_the_terminal())
    print(one_time)


@users.command("sign-out")
def sign_out(username: str) -> None:
    """End every session of a person."""
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import sessions
    from app.records.engine import transaction

    running_settings()
    with transaction() as session:
        ended = sessions.sign_out_everywhere(session, user_id=_id_of(username), by=at_the_terminal())
    print(f"{username} is signed in nowhere any more; {ended} sessions have ended.")


@users.command("unlock")
def unlock(username: str) -> None:
    """Let a person try to sign in again who is locked out after many wrong answers."""
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import people
    from app.records.engine import transaction

    running_settings()
    with transaction() as session:
        people.unlock(session, user_id=_id_of(username), by=at_the_terminal())
    print(f"{username} can try again.")


@users.command("reset-second-factor")
def reset_second_factor(username: str) -> None:
    """Take the second factor off a person who has lost it; their sessions end."""
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import second_factor
    from app.records.engine import transaction

    running_settings()
    with transaction() as session:
        second_factor.reset(session, user_id=_id_of(username), by=at_the_terminal())
    print(f"{username} signs in with the password alone.")


@users.command("link")
def link(
    username: str,
    subject: Annotated[str, typer.Argument(help="What the provider's tokens have as `sub`.")],
) -> None:
    """Say who a person is at the provider of FIRSTREAD_OIDC_ISSUER; their password here ends."""
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import oidc
    from app.errors import Conflict
    from app.records.engine import transaction
    from app.settings import settings

    running_settings()
    issuer = settings().oidc_issuer
    if issuer is None:
        raise Conflict("There is no provider: FIRSTREAD_OIDC_ISSUER is not set.")
    with transaction() as session:
        oidc.link(session, user_id=_id_of(username), issuer=issuer, subject=subject, by=at_the_terminal())
    print(f"{username} signs in at {issuer} from now on, and nowhere else.")


def _id_of(username: str) -> UUID:
    from app.errors import NotFound
    from app.queries import people
    from app.records.engine import transaction

    with transaction() as session:
        for user in people.users(session):
            if user.username == username.strip().lower():
                return user.id
    raise NotFound(f"There is no user {username}.")
