"""Train one run with the backend of its framework."""

from twinbench import environment

if __name__ == "__main__":
    environment.enter("framework")  # first: the imports below take most of a second

from twinbench import cli
from twinbench.training import run

if __name__ == "__main__":
    cli.run(run.execute, run.parser(__doc__))
