# One evaluator for every framework, then statistics, figures and the report.
