"""Turn torchvision's AlexNet file into framework-free weights."""

from pathlib import Path

from twinbench import command, weights
from twinbench.pytorch.weights import read_alexnet


def main(arguments):
    weights.write(arguments.output, read_alexnet(arguments.official))


if __name__ == "__main__":
    command.run(main, command.parser(__doc__, official=Path, output=Path))
