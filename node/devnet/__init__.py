"""Networks for development: a market in one process (`dev`) or in many (`localnet`), and upgrades at every edit."""
