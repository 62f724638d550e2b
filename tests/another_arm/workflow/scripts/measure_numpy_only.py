"""Measure NumPy's side of the parity ladder."""

from twinbench import command, parity
from twinbench.numpy_only.measured import MeasuredArm, library


def main(arguments):
    parity.execute(arguments, "numpy_only", MeasuredArm, library)


if __name__ == "__main__":
    command.run(main, parity.parser(__doc__))
