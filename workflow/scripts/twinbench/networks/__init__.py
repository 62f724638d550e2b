"""The networks as tables, and weights in the framework-free layout."""
