"""One command per file: `run(arguments)` returns the exit status, its docstring's first line is its help."""
