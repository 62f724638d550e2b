"""Pretrain a network on synthetic images, and write it as its library's weights file."""

from twinbench import environment

if __name__ == "__main__":
    environment.enter("--backend")  # first: the imports below take most of a second

from twinbench import cli
from twinbench.training import pretraining

if __name__ == "__main__":
    cli.run(pretraining.execute, pretraining.parser(__doc__))
