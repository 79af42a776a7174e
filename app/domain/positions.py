"""Positions: which of a study's signatures count against each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from app.domain.superseding import as_it_is_now


class Signature(Protocol):
    """What is needed of a review that stands."""

    @property
    def id(self) -> UUID:
        """The review's."""

    @property
    def reviewer_kind(self) -> str:
        """user or key."""

    @property
    def reviewer_id(self) -> UUID:
        """Whose it is."""

    @property
    def image_ids(self) -> list[str]:
        """What the reader had before them."""

    @property
    def findings(self) -> Mapping[str, str]:
        """What was said of each."""


Signed = TypeVar("Signed", bound=Signature)


def positions(
    standing: Sequence[Signed], *, adjudications: Collection[UUID], superseded_by: Mapping[str, str]
) -> tuple[Signed, ...]:
    """Of the standing reviews of a study, the oldest first, the latest of each reader.

    An adjudication takes the place of all before it. Those of other images than the newest review had before
    it count no more: one came since, which opened the study again. A picture that came again with another
    header is no other image, whatever the header says (`superseded_by`): what was seen in it is there still.
    """
    last_settled = max((at for at, review in enumerate(standing) if review.id in adjudications), default=0)
    latest: dict[tuple[str, UUID], Signed] = {}
    for review in standing[last_settled:]:
        reader = (review.reviewer_kind, review.reviewer_id)
        latest.pop(reader, None)
        latest[reader] = review

    def seen(review: Signed) -> set[str]:
        return {as_it_is_now(image_id, superseded_by) for image_id in review.image_ids}

    return tuple(review for review in latest.values() if seen(review) == seen(standing[-1]))


def differences(reviews: Sequence[Signed]) -> tuple[str, ...]:
    """The findings of which the reviews say different things, sorted; *uncertain* is a thing said."""
    said: dict[str, set[str]] = {}
    for review in reviews:
        for finding, statement in review.findings.items():
            said.setdefault(finding, set()).add(statement)
    return tuple(sorted(finding for finding, statements in said.items() if len(statements) > 1))
