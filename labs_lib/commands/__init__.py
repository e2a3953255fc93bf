"""One file a verb of `labs`; each defines `command`."""
