"""`python -m node.cli` is the same as `datdot`."""

from node.cli.main import main

main()
