"""Programs that judge a stranger's text in a process of their own, under limits.

Each reads one JSON value from standard input and prints one; `labs_lib.models.bounded` starts them.
"""
