"""One test a row of what layer stores get wrong, named by the row."""
