"""How far somebody who knows nothing gets with single choices, by what the options look like."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# Above chance by more than this, a rule gives answers away.
MARGIN = 0.10
# In fewer questions than this, chance alone reaches any score.
FEWEST = 4
HALF = 0.5


class Options(NamedTuple):
    """A single choice as a guesser sees it, and the place of the right option."""

    question_id: str
    prompt: str
    texts: tuple[str, ...]
    right: int


@dataclass(frozen=True)
class Rule:
    """A way to choose without knowing: `strength` of an option, the strongest is taken."""

    name: str
    strength: Callable[[str, str], float]
    """Of (prompt, option)."""

    def share(self, options: Options) -> float:
        """Return the chance that the rule finds the right option; those that tie share it."""
        strengths = [self.strength(options.prompt, text) for text in options.texts]
        best = max(strengths)
        tied = strengths.count(best)
        return 1 / tied if strengths[options.right] == best else 0.0


@dataclass(frozen=True)
class GuessingScore:
    """What a rule reaches over some questions: expected right answers, not only whole ones."""

    rule: str
    count: int
    right: float
    expected: float
    """Right answers of somebody who chooses blindly."""
    found: tuple[str, ...]
    """The questions in which the rule takes the right option, alone or with one other."""

    @property
    def score(self) -> float:
        """Return the share of questions that the rule gets right."""
        return self.right / self.count

    @property
    def chance(self) -> float:
        """Return the share that blind choice gets right."""
        return self.expected / self.count

    @property
    def allowed(self) -> float:
        """Return how many right answers are no sign: chance and the margin, at most half.

        The margin is rounded up to a whole question, since luck in one is no fault of a short
        bank; what blind choice reaches is never too much.
        """
        above_chance = math.ceil(self.expected + MARGIN * self.count - 1e-9)
        return max(self.expected, min(above_chance, self.count / 2))

    @property
    def gives_away(self) -> bool:
        """Return whether the rule does better than the margin allows."""
        return self.count >= FEWEST and self.right > self.allowed + 1e-9

    def __str__(self) -> str:
        return (
            f"taking {self.rule} is right in {self.right:.3g} of {self.count} single choices "
            f"({', '.join(self.found)}); chance is {self.expected:.3g}, at most {self.allowed:.3g}"
        )


_REASON = re.compile(
    r"\b(?:because|since|therefore|thus|hence|thereby|which|whose|due to|so(?! far))\b"
    r"|[,;:] (?:as|for|where|whereas|who|otherwise|and so)\b|;",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:usually|often|may|might|could|can|sometimes|mostly|mainly|largely|partly|about|around"
    r"|roughly|approximately|generally|typically|nearly|almost|depends?|likely|tends?|unless"
    r"|some|most|at least|at most|up to|in part|little|hardly|if)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z][a-z0-9_]{2,}|\d+")
# Words that a prompt and its options share without any sense.
_COMMON = frozenset({
    "all", "and", "any", "are", "because", "been", "but", "can", "does", "doing", "each", "for",
    "from", "had", "has", "have", "how", "into", "its", "more", "most", "not", "off", "one", "only",
    "over", "same", "than", "that", "the", "their", "them", "then", "there", "these", "they",
    "this", "those", "was", "were", "what", "when", "where", "which", "while", "who", "why", "will",
    "with", "without", "you", "your",
})  # fmt: skip


def _length(text: str) -> int:
    return len(text.replace("`", "").replace("**", "").strip())


def _words(text: str) -> set[str]:
    words = _WORD.findall(text.lower())
    return {word.removesuffix("s") for word in words if word not in _COMMON}


def _plain_and_short(prompt: str, text: str) -> float:
    """Prefer every option without a reason to every one with it, then the shorter."""
    del prompt
    return -_length(text) - (1e6 if _REASON.search(text) else 0)


def _repeated(prompt: str, text: str) -> float:
    return len(_words(prompt) & _words(text))


RULES = (
    Rule("the shortest option without a reason", _plain_and_short),
    Rule("the longest option", lambda _, text: _length(text)),
    Rule("the most hedged option", lambda _, text: len(_HEDGE.findall(text))),
    Rule("the option that repeats the prompt", _repeated),
)


def guessing_scores(questions: Iterable[Options]) -> tuple[GuessingScore, ...]:
    """Return what each rule reaches over these questions; nothing without questions."""
    asked: Sequence[Options] = tuple(questions)
    if not asked:
        return ()
    expected = sum(1 / len(options.texts) for options in asked)
    scores: list[GuessingScore] = []
    for rule in RULES:
        shares = [rule.share(options) for options in asked]
        found = [
            options.question_id
            for options, share in zip(asked, shares, strict=True)
            if share >= HALF
        ]
        scores.append(GuessingScore(rule.name, len(asked), sum(shares), expected, tuple(found)))
    return tuple(scores)
