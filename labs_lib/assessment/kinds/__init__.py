"""The kinds of question: one file each, which nothing else names, and the registry of them.

A new kind is a file with one class of `Question` and a line in `KINDS`.
"""

from __future__ import annotations

from labs_lib.assessment.kinds.code import CodeQuestion
from labs_lib.assessment.kinds.multiple import MultipleChoice
from labs_lib.assessment.kinds.numeric import NumericQuestion
from labs_lib.assessment.kinds.ordering import OrderingQuestion
from labs_lib.assessment.kinds.parameterised import ParameterisedQuestion
from labs_lib.assessment.kinds.sealed import SealedQuestion
from labs_lib.assessment.kinds.single import SingleChoice
from labs_lib.assessment.kinds.text import TextQuestion
from labs_lib.assessment.questions import Question

__all__ = [
    "KINDS",
    "CodeQuestion",
    "MultipleChoice",
    "NumericQuestion",
    "OrderingQuestion",
    "ParameterisedQuestion",
    "SealedQuestion",
    "SingleChoice",
    "TextQuestion",
]

KINDS: dict[str, type[Question]] = {
    "single": SingleChoice,
    "multiple": MultipleChoice,
    "numeric": NumericQuestion,
    "parameterised": ParameterisedQuestion,
    "ordering": OrderingQuestion,
    "text": TextQuestion,
    "code": CodeQuestion,
    "sealed": SealedQuestion,
}
