"""What a run leaves on disk: its folder, its checkpoints, what it began with."""
