"""Key pairs of accounts and validators: derived from secrets, kept in files, never printed."""
