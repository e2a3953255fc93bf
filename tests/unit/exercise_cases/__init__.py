"""Small exercises and hostile answers, by which the engine is tested; no lesson's own."""
