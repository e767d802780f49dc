"""Against the real clients of others: npm packages and Python packages, unmodified."""
