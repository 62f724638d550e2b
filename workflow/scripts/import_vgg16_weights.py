"""Turn Keras' VGG16 file (without top) into framework-free weights."""

from pathlib import Path

from twinbench import command, weights


def main(arguments):
    weights.write(arguments.output, weights.read_vgg16(arguments.official))


if __name__ == "__main__":
    command.run(main, command.parser(__doc__, official=Path, output=Path))
