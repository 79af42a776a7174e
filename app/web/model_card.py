"""The model card of a bundle: what it is for, what it learnt from, how it did, what it must not be asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.language import _
from app.queries.candidate import CandidateShown
from app.told import told
from app.web.pages import words
from app.web.pages.terms import word


@dataclass(frozen=True)
class Section:
    """One part of the card."""

    heading: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def sections(page: CandidateShown) -> list[Section]:
    """The card in the language of this request; of any manifest, also one that lacks parts."""
    manifest = page.bundle.manifest
    return [
        _use(manifest),
        _data(page, manifest),
        _figures(page),
        Section(
            _("Limits"),
            lines=[
                _("It speaks of the findings listed here alone: a rule-out is not a normal radiograph."),
                _("At another hospital, with other devices or other patients, its figures can be worse."),
                *([told(map_withheld)] if (map_withheld := _map_withheld(page)) else []),
                _(words.USE),
            ],
        ),
    ]


def as_markdown(page: CandidateShown) -> str:
    """The card for a file."""
    return "\n".join(_markdown(page)) + "\n"


def as_json(page: CandidateShown) -> dict[str, Any]:
    """The card for machines: the manifest, the evaluation that stands or the newest, and the history."""
    judged = page.judged
    return {
        "name": page.bundle.name,
        "version": page.bundle.version,
        "sha256": page.bundle.sha256,
        "active": page.bundle.active,
        "manifest": page.bundle.manifest,
        "trained": None
        if page.trained is None
        else {
            "run": str(page.trained.run_id),
            "mode": page.trained.mode,
            "snapshot": str(page.trained.snapshot_id),
            "asked_at": page.trained.asked_at.isoformat(),
        },
        "evaluation": None
        if judged is None
        else {
            "id": str(judged.id),
            "evaluated_at": judged.evaluated_at.isoformat(),
            "beside": judged.active_sha256,
            "gate": judged.gate,
            "may_be_promoted": judged.may_be_promoted,
            "outcome": judged.outcome,
        },
        "promotions": [
            {"kind": one.kind, "at": one.promoted_at.isoformat(), "by": one.promoted_by, "reason": one.reason}
            for one in page.promotions
        ],
    }


def _use(manifest: dict[str, Any]) -> Section:
    use = manifest.get("intended_use")
    use = use if isinstance(use, dict) else {}
    facts = []
    if isinstance(manifest.get("findings"), list):
        named = [
            word(str(one.get("name", ""))) + (_(" (research only)") if one.get("research") else "")
            for one in manifest["findings"]
            if isinstance(one, dict)
        ]
        facts.append((_("Findings"), ", ".join(named)))
    if "min_age_years" in use and "max_age_years" in use:
        ages = _(
            "%(least)s to under %(most)s years",
            least=f"{use['min_age_years']:g}",
            most=f"{use['max_age_years']:g}",
        )
        facts.append((_("Ages"), ages))
    for key, name in (
        ("body_parts", _("Body parts")),
        ("views", _("Views")),
        ("modalities", _("Modalities")),
    ):
        if isinstance(use.get(key), list):
            facts.append((name, ", ".join(map(str, use[key]))))
    outside = _("What lies outside is withheld: the study stays on the worklist, marked as not read.")
    return Section(_("What it is for"), facts, [outside])


def _data(page: CandidateShown, manifest: dict[str, Any]) -> Section:
    provenance = manifest.get("provenance")
    provenance = provenance if isinstance(provenance, dict) else {}
    facts = [
        (name, str(provenance[key]))
        for key, name in (
            ("data", _("Data")),
            ("licence", _("Licence")),
            ("mode", _("Training")),
            ("start", _("Start")),
        )
        if provenance.get(key)
    ]
    if page.trained is not None:
        facts.append((_("Snapshot"), page.trained.snapshot))
    return Section(_("What it learnt from"), facts)


def _figures(page: CandidateShown) -> Section:
    judged = page.judged
    if judged is None:
        return Section(
            _("How it did"),
            lines=[_("It was not evaluated here; the bundle’s own figures are all there is.")],
        )
    outcome = judged.outcome
    classes = outcome["detail"]["classes"]["candidate"]
    facts = [
        (_("Locked test"), f"{judged.snapshot}, {judged.evaluated_at:%Y-%m-%d}"),
        (
            _("Images, patients with and without"),
            f"{outcome['images']}, {outcome['patients_with']}, {outcome['patients_without']}",
        ),
        (_("AUC"), f"{outcome['candidate']['auc']:.3f}"),
        (_("Accuracy"), _interval(classes["accuracy"])),
        (_("Sensitivity"), _interval(classes["with"]["recall"])),
        (_("Specificity"), _interval(classes["without"]["recall"])),
        (_("Brier score"), f"{outcome['candidate']['brier']:.3f}"),
        *_of_others(outcome),
    ]
    gate = _("It passes the gate.") if judged.may_be_promoted else _("It does not pass the gate.")
    unknown = [told(line["sentence"]) for line in judged.gate if line["passes"] is None]
    return Section(_("How it did"), facts, [gate, *unknown])


def _of_others(outcome: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Of each further finding by which it ranks patients."""
    for one in outcome.get("others", ()):
        finding = word(str(one["finding"]))
        own = one.get("candidate")
        said = "–" if own is None else f"{own['auc']:.3f}, {own['sensitivity']:.3f}, {own['specificity']:.3f}"
        yield _("AUC, sensitivity and specificity of %(finding)s", finding=finding), said
        counts = f"{one['patients_with']}, {one['patients_without']}"
        yield _("Patients with and without %(finding)s", finding=finding), counts


def _interval(figure: dict[str, float | None]) -> str:
    if figure["value"] is None or figure["low"] is None or figure["high"] is None:
        return "–"
    return f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"


def _map_withheld(page: CandidateShown) -> str | None:
    return page.judged.outcome.get("map_withheld") if page.judged else None


def _markdown(page: CandidateShown) -> Iterator[str]:
    yield f"# {page.bundle.name} {page.bundle.version}"
    yield ""
    yield f"`{page.bundle.sha256}`"
    for section in sections(page):
        yield ""
        yield f"## {section.heading}"
        yield ""
        for fact, value in section.facts:
            yield f"* **{fact}**: {value}"
        if section.facts and section.lines:
            yield ""
        yield from section.lines
    if page.judged:
        yield ""
        yield f"## {_('The gate')}"
        yield ""
        yield f"| {_('line')} | {_('passes')} | {_('figure and limit')} |"
        yield "|---|---|---|"
        for line in page.judged.gate:
            passes = {True: _("yes"), False: _("no"), None: _("insufficient")}[line["passes"]]
            yield f"| {told(line['name'])} | {passes} | {told(line['sentence'])} |"
