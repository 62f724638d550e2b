"""Train one run with TensorFlow."""

from twinbench import command, experiment
from twinbench.tensorflow.arm import TensorFlowArm


def main(arguments):
    experiment.execute(arguments, TensorFlowArm)


if __name__ == "__main__":
    command.run(main, experiment.parser(__doc__))
