"""Texts that a bank may hold and that some system could take for something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labs_lib.assessment.banks import Bank
from labs_lib.assessment.kinds import KINDS

TABLE = "Which row?\n\n| rank | loss |\n|---|---:|\n| 4 | `0.5` |\n| 8 | **0.4** |\n\nChoose."

CHANGES: dict[str, str] = {
    "table": TABLE,
    "html": "<script>alert(1)</script> <b>bold</b> <img src=x onerror=alert(1)> 1 < 2 && 3 > 2",
    "block html": "<iframe src='x'></iframe>\n\n<style>* {display: none}</style>",
    "entities": "&lt;b&gt; &amp; &#0; &nbsp; &copy;",
    "cdata": "]]> <![CDATA[ x ]]> <!-- c --> <?php x ?>",
    "maths": r"$\alpha < \beta$ and $$\frac{1}{2}$$ and \(x\) and \[y\], it costs $5 or $6",
    "latex of Anki": "[latex]\\input{/etc/passwd}[/latex] [$]x[/$] [$$]y[/$$]",
    "sound of Anki": "[sound:x.mp3] [anki:play:q:0] [anki:tts lang=en]x[/anki:tts]",
    "template of Anki": "{{Answer}} {{c1::cloze}} {{#Id}}x{{/Id}}",
    "image of the disk": "![x](/etc/passwd) ![y](../no/such.png) ![z](file:///etc/passwd)",
    "link": "[x](javascript:alert(1)) [y](https://example.org/?a=1&b=2) <https://example.org>",
    "code": "Read:\n\n```python\nif a < b:\n    print(\"&\", '%s')\n\n\treturn 1\n```\n\nSo?",
    "code of another tongue": "```{.python .run}\nimport os\n```",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+cmd|' /C calc'!A0",
    "at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "minus": "- a list\n- of two",
    "unicode": "Ünïcödé → 🙂 漢字 עברית e\u0301 \u202eright to left \u2028 next \u200b zero",
    "one line breaks": "a\x0bb\x0cc\x85d\u2028e\u2029f\rg\r\nh",
    "control": "bell \x07, escape \x1b[31m, nul \x00, unit \x1f, none \uffff",
    "markup of text2qti": "1. one\na) b\n*c) d\n[*] e\n... f\n= 3\n+ g\n! h\n___\nGROUP\n% j",
    "comment of text2qti": "COMMENT\nx\nEND_COMMENT\n\nQuiz title: mine\n^^^^",
    "stars": "a * b * c, _d_ **e** \\* `*`",
    "plugin file": "@@PLUGINFILE@@/x.png {1:SHORTANSWER:=x}",
    "quotes": "\"a\" 'b' `c` “d” \\",
    "long": "word " * 3_900,
    "one long word": "x" * 19_990,
    "many lines": "a\n\n" * 600 + "b",
    "nested": "> " * 200 + "deep",
    "brackets": "[" * 5_000 + "]" * 5_000,
}


def bank_of(text: str, lesson: str = "09") -> Bank:
    """Return a bank with a question of each kind, in every place of which the text stands."""
    shared: dict[str, Any] = {"objective": "first", "difficulty": 1, "prompt": text,
                              "hint": text, "explanation": text, "source": text}  # fmt: skip
    short = text[:200]
    own: dict[str, dict[str, Any]] = {
        "single": {"options": [{"text": text, "correct": True}, {"text": "b", "feedback": text}]},
        "multiple": {
            "options": [
                {"text": text, "correct": True, "feedback": text},
                {"text": "c", "correct": True},
                {"text": "b", "feedback": text},
            ]
        },
        "numeric": {"answer": -2.5, "tolerance": {"relative": 0.01}, "unit": "GiB",
                    "mistakes": [{"value": 7, "feedback": text}]},
        "ordering": {"items": [{"text": text, "feedback": text}, {"text": "b", "feedback": "f"},
                               {"text": "c", "feedback": "f"}]},
        "text": {"accept": [short, "*", "=r"], "mistakes": [{"match": ["x"], "feedback": text}]},
    }  # fmt: skip
    questions = [
        KINDS[kind].model_validate({**shared, **fields, "kind": kind, "id": f"{lesson}.{kind}"})
        for kind, fields in own.items()
    ]
    title = "A / B & <C>"
    return Bank(Path("no-file.yaml"), lesson, title, {"first": text}, tuple(questions), "0" * 64)  # pyright: ignore[reportArgumentType]
