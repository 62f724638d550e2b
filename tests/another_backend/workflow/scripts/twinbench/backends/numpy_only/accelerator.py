"""NumPy computes on the CPU."""


def accelerator() -> None:
    return None
