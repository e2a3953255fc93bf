"""Write structured-output from the sentence templates and word lists in orders.yaml."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from labs_lib.data.rows import SPLITS, Row
from labs_lib.yamls import read_yaml

SEED = 2305
SIZES = {"train": 640, "validation": 24, "test": 48}


def structured_output() -> dict[str, list[Row]]:
    """Return order sentences and their JSON, by split; no split shares a name, city or item."""
    parts = read_yaml(Path(__file__).with_name("orders.yaml"))
    return {split: _orders(parts, split) for split in SPLITS}


def _orders(parts: dict[str, Any], split: str) -> list[Row]:
    rng = random.Random(f"{SEED} {split}")
    words = parts[split]
    templates = parts["templates"]
    if split == "test":
        # One row in four is also put in a sentence that training never shows.
        templates = _interleaved(templates, parts["test_templates"])
    rows: dict[str, Row] = {}
    while len(rows) < SIZES[split]:
        template = templates[len(rows) % len(templates)]
        record = {
            "name": f"{rng.choice(words['first'])} {rng.choice(words['last'])}",
            "city": rng.choice(words["cities"]),
            "item": rng.choice(words["items"]),
            "quantity": int(rng.choice(list(parts["quantities"]))),
        }
        sentence = template.format(
            n=record["name"],
            c=record["city"],
            i=record["item"],
            q=rng.choice(parts["quantities"][str(record["quantity"])]),
        )
        sentence = sentence[0].upper() + sentence[1:]
        meta = {
            "record": record,
            "entities": [*record["name"].split(), record["city"], record["item"]],
            "template": template,
        }
        completion = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        rows.setdefault(sentence, Row(sentence, completion, meta, parts["system"]))
    mixed = list(rows.values())
    rng.shuffle(mixed)
    return mixed


def _interleaved(common: list[str], rare: list[str]) -> list[str]:
    """Return the common templates with a rare one after every third, taking turns."""
    out: list[str] = []
    for place, template in enumerate(common):
        out.append(template)
        if place % 3 == 2:
            out.append(rare[(place // 3) % len(rare)])
    return out
