"""The programs that wrote the course's own sets: the same bytes at every run."""
