"""The types of a bank's fields, and the frozen record that its parts are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from labs_lib.assessment.lesson_ids import LESSON_PATTERN

Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000, strip_whitespace=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Lesson = Annotated[str, StringConstraints(pattern=rf"^{LESSON_PATTERN}$")]
Identifier = Annotated[
    str, StringConstraints(pattern=rf"^{LESSON_PATTERN}(\.[a-z0-9][a-z0-9-]*)+$")
]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Record(BaseModel):
    """A frozen part of a bank; a field it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
