"""Measure PyTorch's side of the parity ladder."""

from twinbench import command, parity
from twinbench.pytorch.measured import MeasuredArm, library


def main(arguments):
    parity.execute(arguments, "pytorch", MeasuredArm, library)


if __name__ == "__main__":
    command.run(main, parity.parser(__doc__))
