"""The command line: one file per command, settings -> call -> print."""
