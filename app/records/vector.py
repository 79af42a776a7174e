"""pgvector's half-precision vector as a column type: what a network makes of an image, to be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType


class HalfVector(UserDefinedType[Sequence[float]]):
    """`halfvec(size)`: as many numbers, two bytes each; a tuple of floats in Python."""

    cache_ok = True
    render_bind_cast = True

    def __init__(self, size: int | None = None) -> None:
        self.size = size

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in DDL and casts."""
        return "halfvec" if self.size is None else f"halfvec({self.size})"

    def bind_processor(self, dialect: Dialect) -> Callable[[Sequence[float] | None], str | None]:  # noqa: ARG002
        """pgvector reads `[1,2,3]`."""
        return lambda value: None if value is None else "[" + ",".join(f"{x:.5g}" for x in value) + "]"

    def result_processor(
        self,
        dialect: Dialect,  # noqa: ARG002
        coltype: object,  # noqa: ARG002
    ) -> Callable[[str | None], tuple[float, ...] | None]:
        """pgvector writes `[1,2,3]`."""
        return lambda value: None if value is None else tuple(map(float, value[1:-1].split(",")))


ischema_names["halfvec"] = HalfVector
"""So that the migrations' comparison with the records knows the type of what it finds."""
