"""`python -m labs_lib` is `labs`, where the command itself is not on the path."""

from labs_lib.cli import main

main()
