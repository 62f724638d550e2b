"""One training job, from its arguments to its files, without any framework."""
