"""Arbitrary and mutated input for decoders and state machines; `python -m tests.fuzz` goes on for a while."""
