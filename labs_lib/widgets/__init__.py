"""One file an instrument, and the question card."""
