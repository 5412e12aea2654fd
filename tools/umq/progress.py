"""Progress bars, on standard error, and only when that is a terminal."""

import contextlib
import sys


@contextlib.contextmanager
def bar(what, unit_is_bytes=True):
    """A bar labelled `what` for as long as the block runs; yields progress(done, total), where total may be None."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich import progress
    from rich.console import Console

    columns = [progress.TextColumn("{task.description}"), progress.BarColumn(), progress.TaskProgressColumn()]
    columns += [progress.DownloadColumn()] if unit_is_bytes else []
    with progress.Progress(*columns, progress.TimeRemainingColumn(), console=Console(stderr=True)) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
