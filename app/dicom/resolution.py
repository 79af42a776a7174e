"""How small an image may come out of its decoder: codecs that halve while they decode leave out most of their
work.

JPEG makes a block of 8 x 8 pixels as one of 4 x 4, 2 x 2 or 1 (ITU T.81 A.3.3, its inverse transform cut
short), JPEG 2000 leaves out its finest wavelets (ITU T.800 annex F). Either is an average with other weights
than that of whole boxes; what that does to the network's answers is in docs/decoding.md.
"""

from __future__ import annotations

from dataclasses import dataclass

_MOST_HALVINGS = 3

JPEG_MARGIN, WAVELET_MARGIN = 1.6, 2.0
"""How many times the pixels asked for must be left. Codecs average with other weights than whole boxes do;
with fewer pixels that moved the network's answers by .0026 (JPEG) and .0039 (JPEG 2000) on average, with
these by .0007 and .0005.
"""


@dataclass(frozen=True)
class Resolution:
    """Whoever asks makes the image smaller anyway, and needs so many pixels on its two sides."""

    shorter: int
    longer: int

    def halvings(self, rows: int, columns: int, *, margin: float = 1.0) -> int:
        """How often an image of this size may be halved, 0 to 3, to leave `margin` times `shorter`."""
        allowed = 0
        for halvings in range(1, _MOST_HALVINGS + 1):
            halved = half(rows, halvings), half(columns, halvings)
            if min(halved) < margin * self.shorter or max(halved) < self.longer:
                break
            allowed = halvings
        return allowed


def half(side: int, halvings: int) -> int:
    """Pixels that are left of a side; what does not divide is rounded up, as codecs do."""
    return -(-side >> halvings)
