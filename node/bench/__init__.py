"""`datdot bench pallets`: what calls and hooks take on this machine, and the modules of weights that come of it."""
