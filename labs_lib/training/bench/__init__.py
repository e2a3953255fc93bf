"""One bench for PEFT methods: the same tasks and size, each method at its own best rate."""
