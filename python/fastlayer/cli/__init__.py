"""The command line: click, one module a command, and the only code that prints."""
