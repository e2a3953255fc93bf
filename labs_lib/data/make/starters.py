"""Write the three starter sets from starters.yaml: raw files, with the flaws of real ones."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labs_lib.yamls import read_yaml

SEED = 1607
Rows = list[dict[str, Any]]


def appointments() -> str:
    """Return notes and their records, in the `messages` form, one JSON object a line.

    In it: exact copies, copies with a slip, notes with two records, an empty answer, long notes,
    e-mail addresses and phone numbers.
    """
    parts, rng = _parts("appointments")
    rows: Rows = []
    for writer in parts["writers"]:
        templates = rng.sample(parts["templates"], 3)
        rows += [_appointment(parts, rng, rng.choice(templates), writer) for _ in range(11)]
    rows += [_appointment(parts, rng, each, rng.choice(parts["writers"]))
             for each in parts["contacts"] * 2]  # fmt: skip
    for row in rng.sample(rows, 2):
        row["note"] = f"{parts['ramble']} {row['note']}"
    chosen = rng.sample([row for row in rows if len(row["note"]) < 100], 15)
    copies = [dict(row) for row in chosen]
    for row in copies[6:10]:
        row["note"] = row["note"].lower().rstrip(".")
    for row in copies[10:13]:
        row["record"] = {**row["record"], "room": "Ash"}
    rows = [*rows, *copies[:13]]
    rng.shuffle(rows)
    rows[57]["record"] = None
    return "".join(_line(_chat(parts["system"], row)) for row in rows)


def _appointment(parts: Any, rng: random.Random, template: str, writer: str) -> dict[str, Any]:
    first, last = rng.choice(parts["first"]), rng.choice(parts["last"])
    record = {
        "person": f"{first} {last}",
        "day": rng.choice(parts["days"]),
        "time": rng.choice(parts["times"]),
        "room": rng.choice(parts["rooms"]),
    }
    note = template.format(
        p=record["person"],
        d=record["day"],
        t=record["time"],
        r=record["room"],
        m=f"{first}.{last}".lower(),
        n=rng.randint(100, 999),
    )
    return {"note": note, "record": record, "writer": writer}


def _chat(system: str, row: dict[str, Any]) -> dict[str, Any]:
    record = row["record"]
    answer = json.dumps(record, separators=(",", ":")) if record else ""
    messages = [
        {"role": "system", "content": system},
        {"role": "user", "content": row["note"]},
        {"role": "assistant", "content": answer},
    ]
    return {"messages": messages, "writer": row["writer"]}


def house_style() -> str:
    """Return plain notes and notices, in the ShareGPT form, one JSON array.

    A notice has three plain wordings, which must not be divided between splits; some conversations
    go on.  In it: exact copies, and a conversation that ends with a question.
    """
    parts, rng = _parts("house-style")
    rows: Rows = []
    pairs = [(place, state) for place in parts["places"] for state in parts["states"]]
    for number, (place, (state, house)) in enumerate(rng.sample(pairs, 52)):
        until = rng.choice(parts["until"])
        told = {"x": place, "s": state, "h": house, "u": until}
        for wording in parts["plain"]:
            said = wording.format(**told)
            turns = [("human", said[0].upper() + said[1:]), ("gpt", parts["house"].format(**told))]
            if rng.random() < 0.15:
                turns += [("human", parts["shorter"]), ("gpt", parts["house_short"].format(**told))]
            rows.append(_conversation(parts["system"], turns, f"notice {number + 1}"))
    rows += [rows[at] for at in rng.sample(range(len(rows)), 5)]
    rng.shuffle(rows)
    rows[20] = {**rows[20], "conversations": [*rows[20]["conversations"],
                {"from": "human", "value": "And in French?"}]}  # fmt: skip
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def _conversation(system: str, turns: list[tuple[str, str]], notice: str) -> dict[str, Any]:
    said = [("system", system), *turns]
    return {"conversations": [{"from": who, "value": text} for who, text in said], "notice": notice}


SIZES = {"billing": 66, "delivery": 60, "returns": 48, "account": 24, "legal": 6}


def support() -> str:
    """Return messages and their labels as a CSV file with a split column.

    In it: a rare label, messages that two colleagues labeled differently, exact copies, an empty
    label, and a test split whose customers and messages are in training too.
    """
    parts, rng = _parts("support")
    rows: list[list[str]] = []
    for label, size in SIZES.items():
        pairs = [(m, item) for m in parts["messages"][label] for item in parts["items"]]
        rows += [[m.format(i=item), label] for m, item in rng.sample(pairs, size)]
    for message, *labels in parts["ambiguous"]:
        item = rng.choice(parts["items"])
        rows += [[message.format(i=item), label] for label in labels]
    customers = parts["customers"]
    named = [[*row, customers[at % len(customers)]] for at, row in enumerate(rows)]
    rng.shuffle(named)
    lines = [[*row, "test" if at % 5 == 0 else "train"] for at, row in enumerate(named)]
    # A colleague pasted rows of the training part into the test part.
    lines += [[*row[:3], "test"] for row in rng.sample([r for r in lines if r[3] == "train"], 6)]
    lines += rng.sample(lines, 4)
    lines[31] = [lines[31][0], "", *lines[31][2:]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["prompt", "completion", "customer", "split", "system"])
    writer.writerows([*row, parts["system"]] for row in lines)
    return text.getvalue()


MAKERS: dict[str, tuple[str, Callable[[], str]]] = {
    "appointments": ("appointments.jsonl", appointments),
    "house-style": ("house-style.json", house_style),
    "support": ("support.csv", support),
}


def _parts(name: str) -> tuple[Any, random.Random]:
    parts = read_yaml(Path(__file__).with_name("starters.yaml"))
    return parts[name], random.Random(f"{SEED} {name}")


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False) + "\n"
