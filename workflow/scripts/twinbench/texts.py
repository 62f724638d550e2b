"""Texts that the report translates, marked where they stand. Without Babel: training marks some, too."""


def translatable(text: str) -> str:
    """Mark a text that is translated where it is used; it stays as it is. See `twinbench.catalogue`."""
    return text
