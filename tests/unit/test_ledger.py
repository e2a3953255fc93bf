"""The ledger: its form, its evidence, and that it holds every statement of the notes behind it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from labs_lib import paths
from labs_lib.errors import LabError
from labs_lib.ledger import checking, reading
from labs_lib.ledger.finding import VERDICTS, Finding
from labs_lib.ledger.schema import MOST_QUOTED_WORDS, Claim
from labs_lib.yamls import read_yaml

# One worker loads the libraries for all of the checks.
pytestmark = pytest.mark.xdist_group("ledger")

CASES = sorted((Path(__file__).parent / "ledger_cases").glob("*.yaml"))
MOST_SECONDS = 40
A_CLAIM = """\
title: A topic
claims:
  - id: memory.one
    claim: A claim.
    made: [{where: a page, quote: some words}]
    verdict: false
    conditions: It does not hold.
    source: a paper
"""


@pytest.fixture(scope="module")
def ledger() -> dict[str, Claim]:
    """The course's own ledger: id → claim."""
    return dict(reading.read_ledger(paths.claims_dir()))


def statements(path: Path) -> list[tuple[str, list[str]]]:
    """Return what a source says, in our words, with the ids of the claims that cover it."""
    told = read_yaml(path)["statements"]
    ids = [each["claim"] if isinstance(each["claim"], list) else [each["claim"]] for each in told]
    return [(each["says"], claims) for each, claims in zip(told, ids, strict=True)]


def names(claim: Claim, source: str) -> bool:
    """Return whether a claim is said to be made in a source, or in a named part of it."""
    return any(re.fullmatch(rf"{source}(, .+)?", made.where) for made in claim.made)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_statement_of_a_source_has_a_claim_that_names_the_source(
    path: Path, ledger: dict[str, Claim]
):
    where = read_yaml(path)["where"]
    for says, ids in statements(path):
        for claim_id in ids:
            assert claim_id in ledger, f"{says}: {claim_id} is not in the ledger"
            assert where is None or names(ledger[claim_id], where), f"{claim_id}: not {where}"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_claim_that_names_a_source_is_in_its_list(path: Path, ledger: dict[str, Claim]):
    where = read_yaml(path)["where"]
    listed = {claim_id for _, ids in statements(path) for claim_id in ids}
    made = {each.id for each in ledger.values() if where and names(each, where)}
    assert made <= listed, f"{where}: {sorted(made - listed)} are not in the list"


def test_the_lists_are_of_five_sources_and_of_the_tables_that_correct_them():
    assert [path.stem for path in CASES] == ["000", "001", "002", "003", "004", "facts"]


def test_every_place_is_a_listed_source_or_has_an_address(ledger: dict[str, Claim]):
    sources = [where for path in CASES if (where := read_yaml(path)["where"])]
    for each in ledger.values():
        for made in each.made:
            known = any(re.fullmatch(rf"{source}(, .+)?", made.where) for source in sources)
            assert made.address or known, f"{each.id}: {made.where}"


def test_every_check_gives_the_verdict_and_all_are_quick(ledger: dict[str, Claim]):
    import bitsandbytes  # noqa: F401 (what they load is not theirs to wait for)
    import peft  # noqa: F401

    started = time.process_time()
    wrong = {}
    for each in ledger.values():
        if each.check:
            finding = checking.finding_of(each)
            assert len(finding.figure) > 10, each.id
            if not each.ruled_by(finding):
                wrong[each.id] = (each.verdict, finding.verdict, finding.figure)
    assert not wrong
    assert time.process_time() - started < MOST_SECONDS


def test_every_function_of_the_checks_is_some_claims(ledger: dict[str, Claim]):
    used = {each.check for each in ledger.values() if each.check}
    modules = Path(checking.__file__).with_name("checks").glob("[a-z]*.py")
    written = {
        f"{path.stem}.{name}"
        for path in modules
        for name in re.findall(r"^def ([a-z]\w*)\(\) -> Finding", path.read_text("utf-8"), re.M)
    }
    assert written == used


def test_the_lesson_and_the_cell_exist(root: Path, ledger: dict[str, Claim]):
    for each in ledger.values():
        if each.lesson and each.cell:
            source = root / "notebooks" / "source" / f"{each.lesson}.py"
            assert source.is_file(), f"{each.id}: no lesson {each.lesson}"
            text = source.read_text(encoding="utf-8")
            headings = re.findall(r"^# #+ (.+)$", text, re.MULTILINE)
            assert each.cell in headings or f'"{each.cell}"' in text, f"{each.id}: {each.cell}"


def test_lessons_take_their_verdicts_from_the_ledger(root: Path, ledger: dict[str, Claim]):
    shown = set()
    for source in (root / "notebooks" / "source").glob("*.py"):
        text = source.read_text(encoding="utf-8")
        shown |= set(re.findall(r'\bclaim\("([^"]+)"\)', text))
        typed = re.findall(r"[Tt]he claim (?:is|was) (?:false|true|wrong|right)\b", text)
        assert not typed, f"{source.name}: a verdict is typed: {typed}"
        cards, checks = text.count('claim("'), text.count("laim check")
        assert cards >= checks, f"{source.name}: {checks} claim checks, {cards} cards"
    assert shown
    assert shown <= set(ledger)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("verdict: false", "verdict: flase"), "'flase' is not legal"),
        (("    source: a paper\n", ""), "the verdict 'false' needs a check, a recorded result or"),
        (("source:", "sorce:"), "sorce: no such field; did you mean 'source'?"),
        (("memory.one", "speed.one"), "begins with another file's name; here it is memory.one"),
        (("memory.one", "Memory one"), "id: 'Memory one' is not legal"),
        (("some words", "word " * (MOST_QUOTED_WORDS + 1)), "26 words; at most 25 of another's"),
        (("some words}", "x, address: 'http://a.b'}"), "'http://a.b' is not legal"),
        (("conditions:", "lesson: 00_start_here\n    conditions:"), "lesson and cell go together"),
        (("source: a paper", "check: memory.x\n    recorded: {}"), "recorded.result: missing"),
        (("source: a paper", "check: memory.x\n    figure: 3 GB"), "figure needs its source"),
        (("source: a paper", "check: os.system.x"), "check: 'os.system.x' is not legal"),
        (("title: A topic\n", ""), "title: missing"),
        (("title: A topic\n", "a: [\n"), "memory.yaml, line"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_told_in_one_line(
    change: tuple[str, str], message: str, tmp_path: Path
):
    path = tmp_path / "memory.yaml"
    path.write_text(A_CLAIM.replace(*change), encoding="utf-8")
    with pytest.raises(LabError) as raised:
        reading.read_ledger(tmp_path)
    assert message in str(raised.value)
    assert "memory.yaml" in str(raised.value)


def test_an_id_is_given_once(tmp_path: Path):
    twice = A_CLAIM + A_CLAIM.partition("claims:\n")[2]
    (tmp_path / "memory.yaml").write_text(twice, encoding="utf-8")
    with pytest.raises(LabError, match=r"memory\.yaml: the id memory\.one is given twice"):
        reading.read_ledger(tmp_path)


@pytest.mark.parametrize(
    ("cases", "verdict"),
    [
        ({}, "taste"),
        ({"a": True}, "true"),
        ({"a": True, "b": False}, "conditional"),
        ({"a": False, "b": False}, "false"),
    ],
)
def test_the_cases_rule(cases: dict[str, bool], verdict: str, tmp_path: Path):
    (tmp_path / "memory.yaml").write_text(A_CLAIM, encoding="utf-8")
    ruled = reading.read_ledger(tmp_path)["memory.one"]
    finding = Finding("a figure", cases)
    assert finding.verdict == verdict
    assert ruled.ruled_by(finding) == (verdict == "false")


def test_a_bare_true_is_the_word(tmp_path: Path):
    path = tmp_path / "memory.yaml"
    path.write_text(A_CLAIM.replace("verdict: false", "verdict: true"), encoding="utf-8")
    assert reading.read_topic(path)[0].verdict == "true"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("memory.only_the_adapter", "did you mean 'only_the_adapter_is_resident'?"),
        ("memory._step", "memory has no function _step"),
        ("memory.forecast", "memory has no function forecast"),  # imported, no check
        ("nothing.at_all", "nothing.at_all names no module"),
    ],
)
def test_a_check_that_is_none(name: str, message: str):
    with pytest.raises(LabError) as raised:
        checking.check_function(name)
    assert message in str(raised.value)


def test_claims_are_found_by_verdict_and_words():
    everything = reading.claims()
    by_verdict = {verdict: reading.claims(verdict=verdict) for verdict in VERDICTS}
    assert sum(map(len, by_verdict.values())) == len(everything) > 100
    found = reading.claims(verdict="false", text="GPU Memory")
    assert "memory.only-adapter" in [each.id for each in found]
    assert "<memory.only-adapter, false: Only the adapter's parameters are in GPU" in repr(found)
    assert all(each.verdict == "false" for each in found)
    assert reading.claims(text="no such words anywhere") == []
    with pytest.raises(LabError, match="did you mean 'false'"):
        reading.claims(verdict="flase")


def test_a_misspelt_id_names_the_nearest():
    with pytest.raises(LabError, match=r"did you mean 'memory\.only-adapter'\?"):
        checking.evidence("memory.only-adaptor")


def test_evidence_is_computed_recorded_or_told(ledger: dict[str, Claim]):
    computed = checking.evidence("memory.only-adapter")
    assert computed.origin == "computed"
    assert "13.48 GB" in computed.figure
    told = checking.evidence("memory.gpt3-three-times")
    assert "350 GB" in told.figure
    assert "arXiv 2106.09685" in told.origin
    fields: dict[str, Any] = {
        "result": "40 of 40 exactly right", "machine": "one H100", "versions": "peft 0.21.2",
        "command": "labs train x", "date": "2026-11-25",
    }  # fmt: skip
    plain = ledger["memory.gpt3-three-times"].model_dump() | {"recorded": fields}
    once = checking.finding_of(Claim.model_validate(plain))
    assert once.figure == "40 of 40 exactly right"
    assert once.origin == "labs train x; one H100; peft 0.21.2; 2026-11-25"


def test_the_ledger_loads_no_heavy_library():
    code = (
        "import sys; from labs_lib.ledger import claim, claims, evidence; "
        "claims(); claim('memory.only-adapter').plain; "
        "print([name for name in ('torch', 'peft', 'ipywidgets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
