"""Train one run with the backend of its framework."""

from twinbench import cli
from twinbench.training import run

if __name__ == "__main__":
    cli.run(run.execute, run.parser(__doc__))
