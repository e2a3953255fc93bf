"""Where a grader runs code that strangers wrote: a bench behind walls, and what passes through."""
