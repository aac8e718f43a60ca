"""One step a file; the number that its name begins with is its revision."""
