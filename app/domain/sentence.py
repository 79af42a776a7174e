"""Sentences for people that are made where nobody's language is known: in commands, gates, decoders, workers.

They are English wherever they are stored, logged and given to machines; `app.told` says them in a reader's
language.
"""

from __future__ import annotations


def sentence(text: str) -> str:
    """The text itself. That it stands in this call puts it into the catalogue.

    Of an f-string the catalogue has the template, each value under the last name of its expression:
    `{study.state}` as `%(state)s`. A value named `say_...` or `said_...` consists of words of the catalogue
    and is translated too. What a `Problem` is raised with is in the catalogue without this call.
    """
    return text
