"""Adapters on disk: judged as strangers' files, put on their base, worked into it."""
