"""What authors of the course run, and the launcher: nothing here is part of `labs_lib`."""
