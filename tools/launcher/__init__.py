"""What `course.py` does, with the standard library alone: it runs before any package is there."""
