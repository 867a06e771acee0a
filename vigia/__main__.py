"""`python -m vigia` is the command line; the supervisor starts its children this way."""

from vigia.cli import main

main()
