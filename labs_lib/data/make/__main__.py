"""Write the course's own sets and the starter sets anew: `python -m labs_lib.data.make`."""

from __future__ import annotations

from labs_lib.data.bundled import folder_of
from labs_lib.data.make.facts import general_knowledge, sea_captain
from labs_lib.data.make.orders import structured_output
from labs_lib.data.make.starters import MAKERS as STARTERS
from labs_lib.data.own.starter_sets import folder_of_starter
from labs_lib.data.rows import Row, to_jsonl
from labs_lib.files import write_text

MAKERS = {
    "sea-captain": sea_captain,
    "structured-output": structured_output,
    "general-knowledge": general_knowledge,
}


def files() -> dict[str, dict[str, list[Row]]]:
    """Return every set's rows by split, as the programs make them now."""
    return {name: make() for name, make in MAKERS.items()}


def main() -> None:
    """Write every split's JSONL file, and every starter's file, beside its card."""
    for name, splits in files().items():
        for split, rows in splits.items():
            write_text(folder_of(name) / f"{split}.jsonl", to_jsonl(rows))
            print(f"{name}/{split}.jsonl: {len(rows)} rows")
    for name, (file, make) in STARTERS.items():
        write_text(folder_of_starter(name) / file, make())
        print(f"{name}/{file}")


if __name__ == "__main__":
    main()
