"""Names instead of names: the same for the same patient in every export of a site, and nobody's without its
secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

_SHIFTED_DAYS_AT_MOST = 3650


class Pseudonyms:
    """Made with the site's secret (HMAC-SHA-256), so that nobody else can find who is meant by trying."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("the secret of pseudonyms has at least 32 bytes")
        self._secret = secret

    def patient(self, patient_key: str) -> str:
        """What stands for the patient; also their PatientID."""
        return f"P{self._word('patient', patient_key)}"

    def reader(self, name: str) -> str:
        """What stands for whoever signed; empty for nobody."""
        return f"R{self._word('reader', name)}" if name else ""

    def image(self, sha256: str) -> str:
        """The name of the image's file."""
        return self._word("image", sha256).lower()

    def uid(self, uid: str) -> str:
        """A UID below 2.25 (PS3.5 annex B.2), the same for the same UID."""
        return f"2.25.{int.from_bytes(self._digest('uid', uid.strip())[:16], 'big')}"

    def days(self, patient_key: str) -> int:
        """By how many days the dates of the patient are moved back, 1 to 3650."""
        number = int.from_bytes(self._digest("days", patient_key)[:8], "big")
        return 1 + number % _SHIFTED_DAYS_AT_MOST

    def _word(self, what: str, value: str) -> str:
        return base64.b32encode(self._digest(what, value)[:10]).decode()

    def _digest(self, what: str, value: str) -> bytes:
        return hmac.new(self._secret, f"{what}|{value}".encode(), hashlib.sha256).digest()
