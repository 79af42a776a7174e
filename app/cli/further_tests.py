"""What `firstread evaluate` does beside the figures: the test of the maps, and the styles left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.dataset import Labelled
    from models.styles import Styles

_SEED = 7

Report = Callable[[str, int, int], None]


class FurtherTests:
    """Runs what was asked for while the progress bar lives; writes and tells of it afterwards."""

    def __init__(self, *, explanations: bool, styles: bool) -> None:
        self._explanations, self._styles = explanations, styles
        self._map: tuple[dict[str, Any], Labelled] | None = None
        self._by_style: tuple[dict[str, Any], Styles, Labelled] | None = None

    def run(
        self,
        outcome: dict[str, Any],
        data: Labelled,
        *,
        bundle: Path,
        device: str,
        everything: Labelled,
        kept: NDArray[np.bool_] | None,
        report: Report,
    ) -> None:
        """``outcome`` is the evaluation of ``data``, which are ``everything`` or what was ``kept`` of it."""
        if self._explanations:
            from models.explain_report import explain_file

            self._map = (explain_file(bundle, data, device=device, seed=_SEED, report=report), data)
        if self._styles:
            from models.styles_report import style_outcome

            self._by_style = (*style_outcome(everything, outcome, kept=kept, report=report), everything)

    def write(self, folder: Path) -> list[Path]:
        """The reports in the folder, and the figures on the terminal; gives the paths."""
        written: list[Path] = []
        if self._map is not None:
            from models.explain_report import write_explanations

            tested, data = self._map
            written += write_explanations(tested, data.images, folder, seed=_SEED)
            for line in _of_maps(tested):
                print(line)
        if self._by_style is not None:
            from models.styles_report import tell_styles, write_styles

            outcome, styles, everything = self._by_style
            written += write_styles(outcome, styles, everything, folder)
            for line in tell_styles(outcome):
                print(line)
        return written


def _of_maps(tested: dict[str, Any]) -> Iterator[str]:
    """The verdict on each kind of map, and what it rests on."""
    from models.explain_figures import KINDS, by_kind

    for kind, found in by_kind(tested).items():
        yield f"  the {KINDS[kind]:32s} {'passes' if found['passes'] else 'fails'} its test"
        for reason in found["failed"]:
            yield f"    {reason}"
        if "curves" not in found:
            continue
        for way in ("deletion", "insertion"):
            for order in ("random", "centre"):
                better = found["curves"][way][f"better_than_{order}"]
                interval = f"({better['low']:+.3f} to {better['high']:+.3f})"
                yield f"  {way} against {order:20s} {better['value']:+.3f}  {interval}"
        left = found["randomised"]["cascading"]
        yield f"  left of it with a random head        {left['head']:.3f}  (all random: {left['stem']:.3f})"
        outside, area = found["thorax"]["outside"], found["thorax"]["area"]
        share = f"(of the area: {area['value']:.3f})"
        yield f"  of it outside the thorax             {outside['value']:.3f}  {share}"
