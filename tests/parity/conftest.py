import frameworks  # noqa: F401, imports both in the only order that works
