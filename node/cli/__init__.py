"""The `datdot` command: a module for each family of sub-commands, found by `main`."""
