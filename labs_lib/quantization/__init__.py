"""NF4 and double quantisation from scratch, held against bitsandbytes."""
