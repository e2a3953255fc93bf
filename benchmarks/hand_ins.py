"""Grade mutated hand-ins of a class behind walls, and say whether any was graded wrong.

A seeded program makes them (`mutants.py`); what each must get is known. A run that was interrupted
goes on in the same folder. Needs bubblewrap.

    python benchmarks/hand_ins.py --count 1000 --folder FOLDER [--json FILE]

Takes about 10 minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from record import write_record


def main() -> int:
    """Make, grade and compare; return 1 where a grade is wrong or something got out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--folder", type=Path, default=Path("mutated-class"))
    parser.add_argument("--json", type=Path, help="file for comparing commits")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["LABS_HOME"] = str(folder / "home")

    from tqdm import tqdm

    from benchmarks.mutant_class import check_class
    from labs_lib.classroom.walls.ways import find_way

    way = find_way()
    with tqdm(desc="code", unit="cell") as bar:
        found = check_class(folder, way, arguments.count, arguments.seed, bar.update)
    rows = found.table()
    print("| family | mutation | caught by | hand-ins | graded wrong |")
    print("| --- | --- | --- | ---: | ---: |")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    for line in (*found.wrong, *found.escapes):
        print(line, file=sys.stderr)
    figures = {"hand_ins": len(found.mutants), "wrong_grades": len(found.wrong),
               "escapes": len(found.escapes), "walls": way.name}  # fmt: skip
    print(figures)
    if arguments.json:
        names = ("family", "mutation", "caught_by", "hand_ins", "graded_wrong")
        table = [dict(zip(names, row, strict=True)) for row in rows]
        write_record(arguments.json, seed=arguments.seed, **figures, table=table)
    return 1 if found.wrong or found.escapes else 0


if __name__ == "__main__":
    sys.exit(main())
