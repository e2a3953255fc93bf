"""How a claim is shown: its card in a notebook and as text, and the verb `labs claims`."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from typing_extensions import override

from labs_lib import cli
from labs_lib.colors import ORANGE
from labs_lib.errors import LabError
from labs_lib.ledger import ClaimCard, claim
from labs_lib.ledger.reading import claims
from labs_lib.ledger.schema import Claim

ONLY = "memory.only-adapter"


class Texts(HTMLParser):
    """The texts of a page, and its tags that were left open."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.open: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def texts(page: str) -> list[str]:
    """Return the texts of a page that is well formed."""
    reader = Texts()
    reader.feed(page)
    assert not reader.open
    return reader.texts


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["claims", *arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def test_the_card_says_verdict_reason_figure_source_and_place():
    card = claim(ONLY)
    bundle = card._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    page = " ".join(texts(bundle["text/html"]))
    told = " ".join(bundle["text/plain"].split())
    for text in (page, told):
        assert "✗ False: “Only the adapter's parameters are in GPU memory.”" in text
        assert "the base takes 13.48 GB, the adapter 0.017 GB" in text
        assert "frozen base is in memory too" in text
        assert "https://huggingface.co/learn/llm-course/chapter11/4" in text
        assert "01_why_peft, “Claim checks”" in text
    assert ORANGE in bundle["text/html"]
    assert "labs-claim-false" in bundle["text/html"]
    assert repr(card) == bundle["text/plain"]


def test_every_card_without_a_check_is_well_formed():
    for each in claims():
        if each.check is None:
            card = ClaimCard(each)
            assert any(each.conditions == text for text in texts(card.html)), each.id
            assert max(map(len, card.plain.splitlines())) <= 100, each.id


def test_what_a_claim_holds_is_shown_and_not_obeyed():
    fields = claim("methods_and_use.most-popular").claim.model_dump()
    card = ClaimCard(Claim.model_validate(fields | {"claim": "<script>x</script> & more"}))
    assert "<script>" not in card.html
    assert "&lt;script&gt;" in card.html
    assert "○ A matter of taste: “<script>x</script> & more.”" in texts(card.html)


def test_many_cases_are_counted_and_not_all_listed():
    rows = dict(claim("memory.lora-if-base-fits").rows)
    assert rows["Holds for"].endswith("; 9 more")
    assert rows["Not for"] == "7B on 16 GB; 8B on 16 GB"


def test_a_recorded_result_comes_with_its_provenance():
    fields = claim("methods_and_use.most-popular").claim.model_dump()
    recorded = {
        "result": "56 % slower", "machine": "one H100", "versions": "torch 2.13.0",
        "command": "labs compare", "date": "2026-11-25",
    }  # fmt: skip
    rows = dict(ClaimCard(Claim.model_validate(fields | {"recorded": recorded})).rows)
    assert rows["Recorded"] == "56 % slower"
    assert rows["By"] == "labs compare; one H100; torch 2.13.0; 2026-11-25"


def test_an_unknown_claim_in_a_lesson():
    with pytest.raises(LabError, match=rf"did you mean '{ONLY}'\?"):
        claim("memory.only-adapters")


def test_the_verb_lists_by_verdict_and_words(capsys: pytest.CaptureFixture[str]):
    status, out, _ = run(capsys, "--verdict", "false", "GPU", "memory")
    first, *_, blank, last = out.splitlines()
    assert (status, blank) == (0, "")
    assert first == f"false        {ONLY}"
    assert f"             {claim(ONLY).claim.claim}\n" in out
    assert "conditional" not in out
    assert "taste" not in out
    assert last == "1 claim; `labs claims ID` shows why, with figure and source"


def test_the_verb_breaks_no_id(capsys: pytest.CaptureFixture[str]):
    status, out, _ = run(capsys)
    ids = [line.split()[1] for line in out.splitlines() if line[:1].isalpha()]
    assert status == 0
    assert ids == [each.id for each in claims()]
    assert max(map(len, out.splitlines())) <= 88


def test_the_verb_shows_one(capsys: pytest.CaptureFixture[str]):
    status, out, _ = run(capsys, ONLY)
    assert (status, out) == (0, f"{claim(ONLY).plain}\n")


def test_the_verb_prints_json(capsys: pytest.CaptureFixture[str]):
    status, out, _ = run(capsys, "--json", ONLY)
    one = json.loads(out)
    assert status == 0
    assert one["verdict"] == "false"
    assert "13.48 GB" in one["finding"]["figure"]
    assert one["finding"]["cases"] == {"a LoRA step of a 7B model": False}
    status, out, _ = run(capsys, "--json", "--verdict", "taste")
    assert status == 0
    assert {each["verdict"] for each in json.loads(out)} == {"taste"}
    assert json.loads(run(capsys, "--json", "no such words")[1]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["memory.only-adaptor"], f"the words 'memory.only-adaptor'; did you mean '{ONLY}'?"),
        (["--verdict", "flase"], "verdict: 'flase' is not one of true, conditional, false, taste"),
        (["--verdict", "taste", "GB"], "none among those that are taste has the words 'GB'"),
        (["--verdikt", "true"], "No such option"),
    ],
)  # fmt: skip
def test_a_slip_is_told_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert not out
    assert message in err
    assert len(err.splitlines()) == 1
