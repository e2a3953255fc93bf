"""What a child may use of the machine, where the system can hold it to that."""

from __future__ import annotations


def hold_to(cpu_seconds: int, memory_bytes: int) -> None:
    """Limit this process's computing time and memory; without effect on Windows."""
    try:
        import resource
    except ImportError:
        return
    for kind, limit in (
        (resource.RLIMIT_CPU, cpu_seconds),
        (getattr(resource, "RLIMIT_AS", None), memory_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        if kind is not None:
            try:
                resource.setrlimit(kind, (limit, limit))
            except (OSError, ValueError):
                continue  # macOS refuses some; the parent's own time limit stays
