"""`firstread key`: what machines prove themselves with."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

keys = typer.Typer(help="API keys of machines.", no_args_is_help=True)


@keys.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What the key is for; it shows in the audit.")],
    scope: Annotated[str, typer.Option(help="intake, read, review, operations; several with commas.")],
    days: Annotated[int | None, typer.Option(min=1, help="The key ends after this many days.")] = None,
    from_: Annotated[
        str, typer.Option("--from", help="Addresses or CIDR ranges it may come from; several with commas.")
    ] = "",
) -> None:
    """Make a key; prints it, and nothing else, on standard output. It cannot be shown again."""
    from app.cli.choices import choices
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import keys as commands
    from app.domain.roles import Scope
    from app.records.engine import transaction

    scopes = [Scope(part) for part in choices(scope, "scope", [each.value for each in Scope])]
    running_settings()
    with transaction() as session:
        secret = commands.add_key(
            session,
            name=name,
            scopes=scopes,
            by=at_the_terminal(),
            lifetime=timedelta(days=days) if days is not None else None,
            address_ranges=from_.replace(",", " ").split(),
        )
    print(secret)


@keys.command("list")
def list_() -> None:
    """List all keys; the keys themselves are not stored and cannot be shown."""
    from rich.console import Console
    from rich.table import Table

    from app.cli.running import running_settings
    from app.queries import people
    from app.records.engine import transaction

    running_settings()
    with transaction() as session:
        known = people.keys(session)
    table = Table("Key", "Starts with", "Scopes", "From", "Last used", "State", box=None)
    for key in known:
        used = f"{key.last_used_at:%Y-%m-%d %H:%M} UTC" if key.last_used_at else "never"
        ends = f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else ""
        state = "revoked" if key.revoked else ends
        places = ", ".join(key.address_ranges) or "anywhere"
        table.add_row(key.name, key.prefix, ", ".join(key.scopes), places, used, state)
    Console(highlight=False).print(table)


@keys.command("revoke")
def revoke(name: str) -> None:
    """Make a key open nothing any more."""
    from app.cli.running import at_the_terminal, running_settings
    from app.commands import keys as commands
    from app.errors import NotFound
    from app.queries import people
    from app.records.engine import transaction

    running_settings()
    with transaction() as session:
        found = [key for key in people.keys(session) if key.name == name]
        if not found:
            raise NotFound(f"There is no key {name}.")
        commands.revoke_key(session, key_id=found[0].id, by=at_the_terminal())
    print(f"{name} opens nothing any more.")
