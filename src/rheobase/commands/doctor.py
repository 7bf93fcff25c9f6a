"""`rheobase doctor`: this machine examined."""

from rheobase.commands import terminal


def run(arguments: list[str]) -> int:
    """Examine compiler, kernel cache, threads and GPU, and try a kernel of each kind."""
    from rheobase import doctor as examination

    if arguments:
        terminal.say((run.__doc__ or "").strip())
        return 0 if arguments[0] in ("-h", "--help") else 1
    return 0 if examination.text(examination.examine(), terminal.say) else 1
