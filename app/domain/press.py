"""One press of a button that makes a secret. Only hashes of secrets are kept: the same press, come again,
shows the same secret because that is drawn from the press.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Press:
    """Whoever draws from the same press is given the same; `seed` is known to nobody else."""

    seed: bytes = field(repr=False)

    @classmethod
    def alone(cls) -> Press:
        """One that does not come again."""
        return cls(secrets.token_bytes(32))

    def drawn(self, *what: str, size: int = 32) -> bytes:
        """So many bytes, at most 32, that nobody can foresee."""
        return hmac.digest(self.seed, "\0".join(what).encode(), "sha256")[:size]

    def text(self, *what: str, size: int = 32) -> str:
        """As `drawn`, in letters, digits, '-' and '_'."""
        return base64.urlsafe_b64encode(self.drawn(*what, size=size)).rstrip(b"=").decode()
