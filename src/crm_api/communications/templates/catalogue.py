"""Which letters there are, in which languages, and which language a letter is written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

LETTER_KINDS: Mapping[str, str] = {
    "welcome": "Thanks for a first gift and a welcome",
    "thank_you": "Thanks for a later gift",
    "payment_failed": "A payment did not go through, and how to repeat it",
    "refund_confirmed": "Money was given back",
    "card_expiring": "The card of a regular gift runs out soon",
    "plan_payment_missed": "A payment of a regular gift has not come yet",
    "plan_given_up": "A regular gift has ended because its card could not be charged, and how to come back",
    "pledge_overdue": "What was pledged is overdue, and how to pay it",
    "receipt": "A numbered receipt, with the document attached",
}
LANGUAGES: Mapping[str, str] = {
    "en": "English",
    "uk": "Українська",
    "ka": "ქართული",
    "ru": "Русский",
    "ar": "العربية",
}
"""Languages with bundled letters, each by its own name."""
RTL: frozenset[str] = frozenset({"ar"})
"""Languages written from right to left."""
FALLBACK_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Template:
    """The three Liquid sources of a letter. ``html`` may be empty: the letter is then sent as text alone.

    ``bundled`` marks sources that come with this package; every other template is rendered in the sandbox.
    """

    subject: str
    text: str
    html: str
    language: str = FALLBACK_LANGUAGE
    bundled: bool = False

    def parts(self) -> dict[str, str]:
        """The sources that are there, by name."""
        parts = {"subject": self.subject, "text": self.text, "html": self.html}
        return {name: source for name, source in parts.items() if source}


def pick_language(wanted: str | None, organization: str) -> str:
    """The language of a letter: what the person wants, else the organization's, else English.

    Lookup as in RFC 4647: subtags are dropped from the end until one of `LANGUAGES` is left (``uk-UA`` is ``uk``).
    """
    for tag in (wanted, organization):
        subtags = (tag or "").strip().lower().replace("_", "-").split("-")
        while subtags:
            candidate = "-".join(subtags)
            if candidate in LANGUAGES:
                return candidate
            subtags.pop()
    return FALLBACK_LANGUAGE


@lru_cache(maxsize=64)
def default_template(kind: str, language: str) -> Template:
    """The bundled letter; `KeyError` for an unknown kind. An unknown language gets the English one."""
    if kind not in LETTER_KINDS:
        raise KeyError(kind)
    from crm_api.communications.templates.compose import compose

    language = pick_language(language, FALLBACK_LANGUAGE)
    subject, text, html = compose(kind, language, rtl=language in RTL)
    return Template(subject, text, html, language, bundled=True)
