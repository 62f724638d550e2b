"""The results of a study, framework-free: trained models, metrics, comparisons and figures."""
