"""One run across several processes: who takes which rows, who holds which weights, who writes."""
