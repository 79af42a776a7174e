"""`firstread promote` and `rollback`: which network reads at the running service, by its pages' rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.blobs import Blobs
    from app.domain.roles import Actor

_LEAST_LETTERS = 8
_As = Annotated[str, typer.Option("--as", help="The administrator of the service in whose name it is done.")]
_Reason = Annotated[str, typer.Option(help="Why, in a sentence; it stays on record.")]


def promote(
    bundle: Annotated[str, typer.Argument(help="A bundle file, or the first letters of a bundle's SHA-256.")],
    reason: _Reason,
    as_user: _As,
) -> None:
    """Promote a candidate that passed the gate; where the site wants two people, the first proposes and the
    second, by the same command, approves.
    """
    from app.blobs import Blobs
    from app.cli.running import running_settings
    from app.commands import promotion
    from app.records.engine import transaction

    configured = running_settings()
    blobs = Blobs(configured.blob_folder)
    sha256 = _registered(bundle, blobs)
    with transaction() as session:
        by = _person(session, as_user)
        waiting = promotion.open_proposal(session, sha256=sha256)
        if waiting is not None:
            promotion.decide(session, blobs, proposal_id=waiting.id, decision="promote", reason=reason, by=by)
            promoted, others = True, []
        else:
            promoted = promotion.propose(session, blobs, sha256=sha256, reason=reason, by=by).promoted
            others = [name for name in _administrators(session) if name != by.name]
    if promoted:
        print(f"{sha256[:12]} reads from the next batch on.")
    elif others:
        print(f"{sha256[:12]} is proposed. It reads once one of these approves: {', '.join(others)}.")
    else:
        print(
            f"{sha256[:12]} is proposed. Nobody else may approve it: add another administrator, or let one "
            "person promote on the page Site."
        )


def rollback(
    reason: _Reason,
    as_user: _As,
    to: Annotated[
        str | None, typer.Option(help="First letters of the SHA-256; the bundle before this one if left out.")
    ] = None,
) -> None:
    """Go back to a bundle that read before. Needs no gate and nobody else."""
    from app.cli.running import running_settings
    from app.commands import promotion
    from app.records.engine import transaction

    running_settings()
    with transaction() as session:
        target = None if to is None else _known(session, to)
        sha256 = promotion.roll_back(session, to=target, reason=reason, by=_person(session, as_user))
    print(f"{sha256[:12]} reads from the next batch on.")


def _registered(bundle: str, blobs: Blobs) -> str:
    """The sha256 of a known bundle, or of a file, which becomes known."""
    import json

    from app.cli.running import at_the_terminal
    from app.commands import registry
    from app.errors import Unprocessable
    from app.records.engine import transaction
    from models.bundle_file import read_bundle
    from models.manifest import BundleRefused, to_json

    path = Path(bundle)
    if not path.is_file():
        with transaction() as session:
            return _known(session, bundle)
    try:
        _, manifest = read_bundle(path)
    except BundleRefused as error:
        raise Unprocessable(str(error)) from error
    sha256 = blobs.put(path.read_bytes())
    with transaction() as session:
        registry.register(
            session, sha256=sha256, manifest=json.loads(to_json(manifest)), by=at_the_terminal()
        )
    return sha256


def _known(session: Session, letters: str) -> str:
    from app.errors import NotFound
    from app.queries.bundles import bundles

    found = [known.sha256 for known in bundles(session) if known.sha256.startswith(letters.lower())]
    if len(letters) < _LEAST_LETTERS or len(found) != 1:
        raise NotFound(
            f"{letters} names {len(found) or 'no'} bundle of the service; give {_LEAST_LETTERS} letters of "
            "its SHA-256 or more, or a bundle file."
        )
    return found[0]


def _person(session: Session, name: str) -> Actor:
    """The administrator of that name; the audit also has the account of the operating system."""
    from app.cli.running import at_the_terminal
    from app.domain.roles import Actor, Permission, Role, permissions_of
    from app.errors import Forbidden
    from app.queries import people

    for user in people.users(session):
        if user.username == name.strip().lower() and not user.disabled:
            permissions = permissions_of([Role(role) for role in user.roles])
            if Permission.PROMOTE in permissions:
                return Actor(
                    kind="user",
                    id=user.id,
                    name=user.username,
                    permissions=permissions,
                    address=at_the_terminal().name,
                )
    raise Forbidden(f"{name} is no administrator of the service; name one with --as.")


def _administrators(session: Session) -> list[str]:
    from app.domain.roles import Permission, Role, permissions_of
    from app.queries import people

    return [
        user.username
        for user in people.users(session)
        if not user.disabled and Permission.PROMOTE in permissions_of([Role(role) for role in user.roles])
    ]
