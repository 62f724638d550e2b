"""Pretrain AlexNet on the synthetic source task, and write it as torchvision's file."""

from twinbench import command, proxy
from twinbench.pytorch.arm import PyTorchArm
from twinbench.pytorch.weights import write_alexnet


def main(arguments):
    proxy.pretrain(arguments, PyTorchArm, write_alexnet)


if __name__ == "__main__":
    command.run(main, proxy.parser(__doc__))
