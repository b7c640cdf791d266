"""The vocabulary of names: which words there are, so that a word with one typo is found.

A word stands in `contact_words` once for itself and once for each letter left out. Two words one typo apart (a letter
missing, too many, another, or two changed places) share such a variant, so that candidates are looked up exactly; which
of them are really one typo away is then checked. Words are added in the transaction that writes the contact, in one
statement that looks only for those not known yet. Rows carry the id of the entry, so that two transactions which add
the same word at once never wait for each other: then it stands there twice, which does no harm.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rapidfuzz.distance import OSA
from sqlalchemy import text

from crm_api.contacts.keys import SHORTEST_WORD, Key, variants, vocabulary
from crm_api.contacts.models import contact_words
from crm_api.kit.db import ReadSession, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.scripts import forms

_MOST_CANDIDATES = 2000
_NEAR = prepare(
    text(
        """
        SELECT DISTINCT word FROM contact_words
        WHERE organization_id = :organization_id AND variant = ANY(CAST(:variants AS text[])) LIMIT :most
        """
    )
)
_ADD = prepare(
    text(
        """
        INSERT INTO contact_words (organization_id, variant, word, entry_id)
        SELECT :organization_id, v.variant, fresh.word, :entry_id
        FROM (
            SELECT DISTINCT given.word FROM unnest(CAST(:words AS text[])) AS given(word)
            WHERE NOT EXISTS (
                SELECT 1 FROM contact_words known
                WHERE known.organization_id = :organization_id AND known.variant = given.word
                    AND known.word = given.word
            )
        ) fresh, LATERAL (
            SELECT fresh.word AS variant
            UNION SELECT left(fresh.word, i - 1) || substr(fresh.word, i + 1)
            FROM generate_series(1, length(fresh.word)) AS i
        ) v
        """
    )
)
_FORGET = prepare(
    text(
        """
        DELETE FROM contact_words gone
        USING unnest(CAST(:variants AS text[]), CAST(:words AS text[])) AS w(variant, word)
        WHERE gone.organization_id = :organization_id AND gone.variant = w.variant AND gone.word = w.word
            AND NOT EXISTS (
                SELECT 1 FROM contact_keys k
                WHERE k.organization_id = :organization_id AND k.kind = 'word'
                    AND k.value >= w.word || ' ' AND k.value < w.word || '!'
            )
            AND NOT EXISTS (
                SELECT 1 FROM contact_keys k
                WHERE k.organization_id = :organization_id AND k.kind = 'word'
                    AND k.value = ANY(CAST(:whole AS text[])) AND split_part(k.value, ' ', 2) = w.word
            )
        """
    )
)


def learn_words(session: WriteSession, keys: Iterable[Key]) -> None:
    """Add the words among a contact's keys to the vocabulary, at the end of the transaction."""
    for word in sorted(vocabulary(keys)):
        session.later(contact_words, word=word, entry_id=new_id())


async def add_words(session: WriteSession, words: Collection[str]) -> int:
    """Add many words (see `keys.vocabulary`) in one statement; how many rows that were new."""
    if not words:
        return 0
    return await session.execute(_ADD, words=sorted(words), entry_id=new_id())


async def forget_words(session: WriteSession, words: Collection[str]) -> int:
    """Take words out that no contact's key holds any more (after an erasure); how many rows went.

    `words` are those of the contacts that lost their keys: `keys.vocabulary(keys.key_rows(contact))`.
    """
    pairs = [(variant, word) for word in sorted(words) for variant in variants(word)]
    if not pairs:
        return 0
    return await session.execute(
        _FORGET,
        variants=[variant for variant, _ in pairs],
        words=[word for _, word in pairs],
        whole=[f"{form} {word}" for word in words for form in forms(word)],
    )


async def words_near(
    session: ReadSession, words: Iterable[str], guesses: Iterable[str] = ()
) -> tuple[dict[str, list[str]], set[str]]:
    """For each word, those of the vocabulary that are one typo away from it; and which of the guesses are words."""
    asked = sorted({word for word in words if len(word) >= SHORTEST_WORD - 1 and not word.isdecimal()})
    if not asked:
        return {}, set()
    looked_up = {variant for word in asked for variant in variants(word)}
    guessed = set(guesses)
    rows = await session.fetch(_NEAR, variants=sorted(looked_up | guessed), most=_MOST_CANDIDATES)
    known = sorted(str(row["word"]) for row in rows)
    near = {
        wanted: [word for word in known if word != wanted and OSA.distance(word, wanted, score_cutoff=1) == 1]
        for wanted in asked
    }
    return near, guessed.intersection(known)
