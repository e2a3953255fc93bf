"""Question banks, exercises, outcomes and progress; no widgets."""
