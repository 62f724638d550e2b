"""Framework-free judgement of the runs: metrics, statistics, figures, report."""
