"""The course's own small instruction sets, and how to bring your own."""
