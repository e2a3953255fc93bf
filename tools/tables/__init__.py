"""The tables that a README takes from the course itself, by the name of their place."""

from __future__ import annotations

from collections.abc import Callable

from tools.tables.architecture import floors, rooms
from tools.tables.benchmarks import programs
from tools.tables.cluster import cluster
from tools.tables.families import families
from tools.tables.gpu import gpu
from tools.tables.growth import growth
from tools.tables.hand_ins import hand_ins
from tools.tables.lessons import lessons
from tools.tables.losses import losses
from tools.tables.profile import profile
from tools.tables.recipes import recipes
from tools.tables.rounding import rounding
from tools.tables.training import training
from tools.tables.verbs import verbs
from tools.tables.waiting import waiting, waiting_in_short

# A place is `<!-- generated: NAME -->` … `<!-- end: NAME -->`; what stands between is rewritten.
TABLES: dict[str, Callable[[], str]] = {
    "lessons": lessons,
    "verbs": verbs,
    "recipes": recipes,
    "waiting in short": waiting_in_short,
    "programs": programs,
    "training": training,
    "profile": profile,
    "losses": losses,
    "rounding": rounding,
    "waiting": waiting,
    "growth": growth,
    "families": families,
    "hand-ins": hand_ins,
    "gpu": gpu,
    "cluster": cluster,
    "floors": floors,
    "rooms": rooms,
}
