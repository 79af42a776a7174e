"""What the words on the pages mean and do not mean: shown where each word stands, and on /help."""

from __future__ import annotations

from dataclasses import dataclass

from app.language import N_, _
from app.settings import settings

_SAID: dict[str, tuple[str, tuple[str, ...]]] = {
    "lane": (
        N_("Lane"),
        (
            N_(
                "What the network makes of a study, in three steps: ▲ rule-in, it takes the finding for "
                "present; ◆ abstain, it cannot tell; ▽ rule-out, it takes it for absent. ○ means that "
                "it has not read it. The lane moves the study in the list and does nothing else."
            ),
            N_(
                "No lane is a diagnosis. A rule-out is no normal radiograph: the network looks for the "
                "findings that the page names and for nothing else, and misses some of them. How often "
                "was measured on the hospital that it learnt from, not on yours."
            ),
        ),
    ),
    "probability": (
        N_("Probability"),
        (
            N_(
                "How likely the network takes the finding to be, from 0.00 to 1.00. The figure is "
                "calibrated as if every second patient had the finding: it ranks studies against each "
                "other."
            ),
            N_(
                "It is not the chance that this patient is ill. Where the finding is rarer, that chance "
                "is lower than the figure; where patients, devices or exposure are unlike those of the "
                "training, the figure may mean little."
            ),
        ),
    ),
    "unlike": (
        N_("Unlike the training images"),
        (
            N_(
                "The picture is further from those that the network learnt from than 99 of 100 of the "
                "same kind. It was read all the same, and what the network says of it deserves less "
                "trust."
            ),
            N_(
                "It says nothing about the patient: a rare projection, a device or the framing can be "
                "the reason."
            ),
        ),
    ),
    "withheld": (
        N_("Not read by the network"),
        (
            N_(
                "The network says nothing of a picture that it is not meant for, such as a lateral "
                "view, an age outside its intended use or what is no chest radiograph, and nothing "
                "where something broke. The reason stands beside it."
            ),
            N_(
                "That is no finding, and no verdict on the quality of the picture. A radiologist reads "
                "it like any other, and it keeps the place of a study that the network has not read."
            ),
        ),
    ),
    "blind": (
        N_("Blind read"),
        (
            N_(
                "What the network says of this study is hidden until your own verdict is signed, "
                "because whoever has heard an opinion is swayed by it. A share of the studies is drawn "
                "for that, and a reader can ask for it on the account page."
            ),
            N_(
                "The place in the list is not hidden: no patient shall wait for a draw. Whoever watches "
                "the order can guess, and a study that has only just come and stands under Now is STAT or "
                "ruled in."
            ),
        ),
    ),
    "place": (
        N_("Place in the list"),
        (
            N_(
                "The list is sorted by arrival, moved forward by a credit: %(rule_in)s h where the "
                "network rules a finding in, %(abstain)s h where it abstains, none where it rules out, "
                "%(unknown)s h where it has not read the study, %(stat)s h for a STAT order. The larger "
                "of the order's and the network's credit counts."
            ),
            N_(
                "No study is placed later than its arrival, nothing leaves the list but by a signature, "
                "and none is overtaken by one that arrived more than the largest credit later. The "
                "place does not say how ill a patient is."
            ),
        ),
    ),
    "state": (
        N_("State"),
        (
            N_(
                "Waiting for the network, being screened: it can be read already, except at the very "
                "moment of screening. To be read: it waits for a radiologist, whatever the network "
                "said. Held: somebody reads it, for %(claim)s minutes unless they go on. Signed, "
                "amended: a radiologist has said what is so, once or again. Reopened: after the signature "
                "a new image came, or one came again with another patient, side or view in its header."
            ),
        ),
    ),
    "heat-map": (
        N_("Heat map"),
        (
            N_(
                "Which coarse regions of the picture moved the network's score, for the finding and "
                "against it. It is off until somebody asks for it, and shown only where it has passed "
                "its test."
            ),
            N_(
                "It does not outline disease, it does not say why, and an uncoloured region is not a "
                "healthy one."
            ),
        ),
    ),
    "similar": (
        N_("Similar confirmed cases"),
        (
            N_(
                "Signed studies of other patients that the same network finds most alike, with what "
                "radiologists signed. Asking is on record, and so is each case that was seen."
            ),
            N_(
                "Alike means alike to the network, which knows nothing but its own findings: that cases "
                "look alike to it is no evidence of the same disease."
            ),
        ),
    ),
}


TERMS = tuple(_SAID)


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A word of the pages, and sentences on what it means and what it does not mean."""

    term: str
    name: str
    said: tuple[str, ...]


def explained(term: str) -> Explanation:
    """In the reader's language, with the figures of this site. KeyError for a word that is not explained."""
    name, said = _SAID[term]
    site = settings()
    figures = {
        "rule_in": f"{site.credit_rule_in_hours:g}",
        "abstain": f"{site.credit_abstain_hours:g}",
        "unknown": f"{site.credit_unknown_hours:g}",
        "stat": f"{site.credit_stat_hours:g}",
        "claim": f"{site.claim_minutes:g}",
    }
    return Explanation(term=term, name=_(name), said=tuple(_(sentence, **figures) for sentence in said))
