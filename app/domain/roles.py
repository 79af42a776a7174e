"""Roles, scopes and permissions in one table; every route names the permission it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


class Permission(StrEnum):
    """One thing somebody may do."""

    ADMIT = "study.admit"
    READ = "study.read"
    REVIEW = "study.review"
    RESOLVE_CONFLICTS = "conflict.resolve"
    MANAGE_PEOPLE = "people.manage"
    MANAGE_SITE = "site.manage"
    MANAGE_DESTINATIONS = "destination.manage"
    READ_MODELS = "model.read"
    LOOK_INSIDE = "model.look-inside"
    TRAIN = "model.train"
    PROMOTE = "model.promote"
    READ_AUDIT = "audit.read"
    READ_OPERATIONS = "operations.read"


class Role(StrEnum):
    """What a person is here; a person can be several."""

    RADIOLOGIST = "radiologist"
    INTEGRATOR = "integrator"
    ADMINISTRATOR = "administrator"
    OPERATOR = "operator"
    AUDITOR = "auditor"


class Scope(StrEnum):
    """What an API key is for."""

    INTAKE = "intake"
    READ = "read"
    REVIEW = "review"
    OPERATIONS = "operations"
    TRAINING = "training"


ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.RADIOLOGIST: frozenset(
        {Permission.ADMIT, Permission.READ, Permission.REVIEW, Permission.READ_MODELS},
    ),
    Role.INTEGRATOR: frozenset(
        {Permission.ADMIT, Permission.READ, Permission.MANAGE_DESTINATIONS, Permission.READ_OPERATIONS},
    ),
    Role.ADMINISTRATOR: frozenset(
        {
            Permission.ADMIT,
            Permission.READ,
            Permission.RESOLVE_CONFLICTS,
            Permission.MANAGE_PEOPLE,
            Permission.MANAGE_SITE,
            Permission.MANAGE_DESTINATIONS,
            Permission.READ_MODELS,
            Permission.LOOK_INSIDE,
            Permission.TRAIN,
            Permission.PROMOTE,
            Permission.READ_OPERATIONS,
        },
    ),
    Role.OPERATOR: frozenset({Permission.READ_OPERATIONS}),
    Role.AUDITOR: frozenset({Permission.READ_AUDIT}),
}

SCOPE_PERMISSIONS: dict[Scope, frozenset[Permission]] = {
    Scope.INTAKE: frozenset({Permission.ADMIT}),
    Scope.READ: frozenset({Permission.READ}),
    Scope.REVIEW: frozenset({Permission.READ, Permission.REVIEW}),
    Scope.OPERATIONS: frozenset({Permission.READ_OPERATIONS}),
    Scope.TRAINING: frozenset({Permission.READ_MODELS, Permission.TRAIN}),
}


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who does something: a person, a machine with a key, or the service itself."""

    kind: str
    """user, key or system."""
    id: UUID | None
    name: str
    permissions: frozenset[Permission] = field(default_factory=frozenset)
    address: str | None = None
    session_id: UUID | None = None

    def may(self, permission: Permission) -> bool:
        """True when the table grants it."""
        return permission in self.permissions


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who a session or key belongs to."""

    actor: Actor
    csrf_token: str | None
    must_change_password: bool
    roles: tuple[Role, ...]
    display_name: str
    language: str | None = None
    """Their own choice; None leaves it to the browser."""
    must_enrol: bool = False
    """A role of theirs asks for a second factor and they have none yet."""
    via: str = "password"
    """How the session was opened: password or oidc."""

    @property
    def must_set_up(self) -> bool:
        """Nothing is open to them but what they must do first."""
        return self.must_change_password or self.must_enrol


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """A new session: the token goes into the cookie and is nowhere stored."""

    token: str
    csrf_token: str
    user_id: UUID
    must_change_password: bool
    awaits_second_factor: bool = False
    """The token opens nothing yet but the question for the code."""


@dataclass(frozen=True, kw_only=True)
class RotatedSession:
    """A session that goes on under a new token; the old one opens nothing any more."""

    token: str
    csrf_token: str


SYSTEM = Actor(kind="system", id=None, name="firstread")


def permissions_of(roles: list[Role]) -> frozenset[Permission]:
    """All that these roles together may do."""
    return frozenset().union(*(ROLE_PERMISSIONS[role] for role in roles))


def permissions_of_scopes(scopes: list[Scope]) -> frozenset[Permission]:
    """All that a key with these scopes may do."""
    return frozenset().union(*(SCOPE_PERMISSIONS[scope] for scope in scopes))
