"""The images: where they come from, which of them a study uses, and the files that jobs read."""
