"""With clients of Substrate chains in JavaScript and Python, against `datdot dev`."""
