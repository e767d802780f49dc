"""What each call checks, in order, and what it then writes. The pallet class only names the calls and their weights."""
