"""The checks of the claims, one module a topic; each function returns a `Finding`."""
