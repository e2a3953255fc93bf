"""The mathematics of LoRA: factorise, count, a layer from scratch, merge."""
