"""Pretrain VGG16 on the synthetic source task, and write it as Keras' file."""

from twinbench import command, proxy
from twinbench.tensorflow.arm import TensorFlowArm
from twinbench.weights import write_vgg16


def main(arguments):
    proxy.pretrain(arguments, TensorFlowArm, write_vgg16)


if __name__ == "__main__":
    command.run(main, proxy.parser(__doc__))
