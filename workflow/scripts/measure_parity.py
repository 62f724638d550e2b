"""Measure one backend's side of the parity suite."""

from twinbench import environment

if __name__ == "__main__":
    environment.enter("--backend")  # first: the imports below take most of a second

from twinbench import cli
from twinbench.parity import measuring

if __name__ == "__main__":
    cli.run(measuring.execute, measuring.parser(__doc__))
