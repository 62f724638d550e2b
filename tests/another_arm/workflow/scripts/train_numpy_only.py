"""Train one run with NumPy alone."""

from twinbench import command, experiment
from twinbench.numpy_only.arm import NumPyArm


def main(arguments):
    experiment.execute(arguments, NumPyArm)


if __name__ == "__main__":
    command.run(main, experiment.parser(__doc__))
