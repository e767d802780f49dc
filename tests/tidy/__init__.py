"""The walls of the house, and its order."""
