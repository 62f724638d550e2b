"""Pretrain AlexNet on the synthetic source task, and write it as torchvision's file."""

from twinbench import command, proxy
from twinbench.pytorch.arm import PyTorchArm
from twinbench.pytorch.weights import write_alexnet


def main(arguments):
    write_alexnet(arguments.output, proxy.pretrain(arguments, PyTorchArm))


if __name__ == "__main__":
    command.run(main, proxy.parser(__doc__))
