"""`datdot new`: the files of a chain builder's project, written from `templates`."""
