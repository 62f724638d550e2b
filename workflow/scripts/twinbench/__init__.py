"""The package behind the rules: the same experiment in two frameworks, and its analysis."""
