"""Train one run with PyTorch."""

from twinbench import command, experiment
from twinbench.pytorch.arm import PyTorchArm


def main(arguments):
    experiment.execute(arguments, PyTorchArm)


if __name__ == "__main__":
    command.run(main, experiment.parser(__doc__))
