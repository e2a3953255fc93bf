"""What `course.py` does; it needs the standard library alone, since it runs before all else."""
