"""Single words that data hold and pages show, in the catalogue: each is said in the reader's language."""

from __future__ import annotations

from app.language import N_, translated

TERMS = (
    # findings
    N_("pneumonia"),
    N_("bacterial pneumonia"),
    N_("viral pneumonia"),
    # what a reader says of a finding
    N_("present"),
    N_("absent"),
    N_("uncertain"),
    # roles and scopes
    N_("radiologist"),
    N_("integrator"),
    N_("administrator"),
    N_("operator"),
    N_("auditor"),
    N_("intake"),
    N_("read"),
    N_("review"),
    N_("operations"),
    N_("training"),
    # states of studies and of deliveries
    N_("admitted"),
    N_("screening"),
    N_("screened"),
    N_("withheld"),
    N_("failed"),
    N_("claimed"),
    N_("signed"),
    N_("amended"),
    N_("reopened"),
    N_("pending"),
    N_("delivered"),
    N_("dead"),
    N_("withdrawn"),
    # who does something
    N_("user"),
    N_("key"),
    N_("device"),
    N_("system"),
    N_("anonymous"),
    # what a person may do
    N_("study.admit"),
    N_("study.read"),
    N_("study.review"),
    N_("conflict.resolve"),
    N_("people.manage"),
    N_("site.manage"),
    N_("destination.manage"),
    N_("model.read"),
    N_("model.look-inside"),
    N_("model.train"),
    N_("model.promote"),
    N_("audit.read"),
    N_("operations.read"),
    # ways in
    N_("browser"),
)


def word(term: str) -> str:
    """The word in the language of this request; a word that is none of ours stays as it is."""
    return translated(term)
