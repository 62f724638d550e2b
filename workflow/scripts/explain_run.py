"""Tell what a run would do, why, and about how long it would take, without running anything.

Takes the arguments of snakemake: python workflow/scripts/explain_run.py --configfile my-study.yaml
"""

import sys

from twinbench.errors import InputError
from twinbench.explanation import explain


def main() -> None:
    try:
        print(explain(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
