"""The parity suite: each backend measures itself, and the measurements are compared check by check."""
