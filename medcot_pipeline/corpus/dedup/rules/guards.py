"""The rules that tell a duplicate from a near-miss by the characters that differ.

Belongs here: the reasons for which a change makes another question.
Does not belong here: finding the changes (corpus/dedup/similar/edits.py), similarities
(corpus/dedup/similar/nearness.py), pairs of words (swaps.py), counts (contexts.py).
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

import polars as pl

from medcot_pipeline.corpus.dedup.rules.contexts import Contexts
from medcot_pipeline.corpus.dedup.rules.swaps import SWAPS
from medcot_pipeline.corpus.dedup.similar.edits import ChangedSpan

_INTENTS = frozenset("诊断 治疗 检查 病因 原因 药物 手术 并发症 机制 部位 预后 证型 方剂 首选".split())  # noqa: SIM905
NEUTRAL = frozenset("的地得了着之其该此这那为是在于和与及者也且则即就还并而由对使位名例请问吗呢")
"""Characters that come and go without changing a question."""
EXCHANGEABLE = 0.03
"""Cosine of contexts from which two characters count as words of one kind. Among 25,000 planted questions, 95 of 100
random substitutions stay below 0.012, and 99 of 100 exchanges of organs, drugs, sides, units are above 0.05."""
_EXACT = re.compile(
    r"[^\W\d_\u3005\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]|[\d⅐-↉①-⓿²³¹⁰-₎<>≤≥=≠±+\-/%‰^~:×°*.,]"
)
_NEGATION = frozenset("不未无非没否勿莫毋")
_CASED = ("M", "Mg", "mM", "nM", "uM", "μM", "µM")


class Lexicon:
    """Listed words, as one expression that finds the longest word at each place."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Args: pairs: words that make two questions of one when one takes the place of the other."""
        words = {word.casefold().replace("μ", "u") for pair in pairs for word in pair} | _INTENTS
        self._words = re.compile("|".join(sorted(map(re.escape, words), key=lambda word: (-len(word), word))))

    def words(self, text: str) -> Counter[str]:
        """How often each listed word is in the text."""
        return Counter(self._words.findall(text))


@lru_cache(maxsize=8)
def lexicon(more: tuple[tuple[str, str], ...] = (), without: tuple[tuple[str, str], ...] = ()) -> Lexicon:
    """The built-in pairs, and more of them, without some."""
    built_in = [pair for pairs in SWAPS.values() for pair in pairs]
    return Lexicon([pair for pair in [*built_in, *more] if pair not in without])


def refusal(found: list[ChangedSpan], contexts: Contexts, words: Lexicon) -> str:
    """Why two keys that differ in these spans are two questions; empty where nothing says so.

    In the order of certainty:

    1. `number`: a digit, letter or sign changed (a dose, a unit, a TNM stage, (+) and (-)).
    2. `systematic`: the same exchange twice; a misprint does not repeat itself.
    3. `word`: a listed word took the place of another (左/右, 升/降, 诊断/治疗).
    4. `like words`: the two characters are used alike in the corpus, or both spans are words of it.
    5. `negation`, `lost word`: 不, 无, ... or a listed word came or went, and nothing shows a misprint.
    6. `only change`: nothing else differs, so it is what a near-miss looks like, unless it is a function word, a
       doubled character, or an addition or loss that shows a misprint. An only substitution never passes.
    7. `only substitutions`: every change is a substitution, and not each of them shows a misprint.

    A change shows a misprint where one reading has a neighbourhood that no other text has and the other reading does
    not (`_shows_misprint`). Where the corpus is too small to tell, nothing is shown and the pair is kept.
    """
    if any(_EXACT.search(change.before + change.after) for change in found):
        return "number"
    substitutions = [change for change in found if change.before and change.after]
    if len({(change.before, change.after) for change in substitutions}) < len(substitutions):
        return "systematic"
    for change in found:
        reason = _refused_by_itself(change, contexts, words)
        if reason:
            return reason
    if len(found) == 1:
        return "" if _harmless_alone(found[0], contexts, words) else "only change"
    if len(substitutions) == len(found) and not all(_shows_misprint(change, contexts) for change in found):
        return "only substitutions"
    return ""


def _refused_by_itself(change: ChangedSpan, contexts: Contexts, words: Lexicon) -> str:
    before, after = words.words(change.around_before), words.words(change.around_after)
    lost, gained = before - after, after - before
    if lost and gained:
        return "word"
    both = change.before + change.after
    if NEUTRAL.issuperset(both):
        return ""
    if change.before and change.after and _used_alike(change, contexts):
        return "like words"
    if _shows_misprint(change, contexts):
        return ""
    if not _NEGATION.isdisjoint(both):
        return "negation"
    return "lost word" if not (change.before and change.after) and words.words(both) else ""


def _used_alike(change: ChangedSpan, contexts: Contexts) -> bool:
    """Whether the spans are characters with common contexts, or two-character words that other texts have too."""
    if len(change.before) == len(change.after) == 1:
        return contexts.exchangeable(change.before, change.after, change.left, change.right) >= EXCHANGEABLE
    return len(change.before) == len(change.after) == 2 and all(
        contexts.seen(*span) >= 3 for span in (change.before, change.after)
    )


def _harmless_alone(change: ChangedSpan, contexts: Contexts, words: Lexicon) -> bool:
    both = change.before + change.after
    if NEUTRAL.issuperset(both):
        return True
    if change.before and change.after:
        return False
    if both in (change.left, change.right):
        return True
    return not words.words(both) and _NEGATION.isdisjoint(both) and _shows_misprint(change, contexts)


def _shows_misprint(change: ChangedSpan, contexts: Contexts) -> bool:
    """Whether one reading is unheard of (a boundary in no other text) and the other is not (all in another text)."""
    before = _boundaries(change.before, change, contexts)
    after = _boundaries(change.after, change, contexts)
    return (min(before) <= 1 and min(after) >= 2) or (min(after) <= 1 and min(before) >= 2)


def _boundaries(span: str, change: ChangedSpan, contexts: Contexts) -> tuple[int, int]:
    """Texts that have the boundary before the span, and the one after it; without a span there is only one."""
    if not span:
        alone = contexts.seen(change.left, change.right)
        return alone, alone
    return contexts.seen(change.left, span[0]), contexts.seen(span[-1], change.right)


def case_signature(questions: pl.Expr) -> pl.Expr:
    """The tokens whose case is a meaning (Mg magnesium, M molar) and not a spelling, in alphabetical order."""
    tokens = questions.str.extract_all(r"[A-Za-zµμ]+").list.eval(pl.element().filter(pl.element().is_in(_CASED)))
    return (
        pl.when(questions.str.contains("M", literal=True)).then(tokens.list.sort().list.join(" ")).otherwise(pl.lit(""))
    )
