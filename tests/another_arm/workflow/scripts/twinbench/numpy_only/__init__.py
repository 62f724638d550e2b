"""NumPy's arm."""
