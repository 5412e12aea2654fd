# Runs test files where there is no pytest: on MicroPython.
#
#   micropython tests/both/run.py tests/both/test_topics.py tests/both/test_codec.py::test_utf8 ...
#
# A test file has functions test_*() without arguments that use `assert` and, from here, `raises`.
# The last line is "N passed, M failed"; the exit status is 0 only when something passed and nothing failed.

import gc
import sys


def raises(exception, function, *args):
    """Call function(*args), which must raise `exception` (or a subclass); return what it raised."""
    try:
        function(*args)
    except exception as raised:
        return raised
    raise AssertionError("%s was not raised" % exception.__name__)


def _run_file(path):
    """Run the tests of one file, or of FILE::TEST that one; return how many passed and how many failed."""
    passed = failed = 0
    path, _, chosen = path.partition("::")
    folder, name = _split(path)
    sys.path.insert(0, folder)
    module = __import__(name[: -len(".py")])
    for name in sorted(dir(module)):
        if not name.startswith("test_") or (chosen and name != chosen):
            continue
        gc.collect()
        try:
            getattr(module, name)()
            passed += 1
        except Exception as error:
            failed += 1
            print("FAILED", path, name)
            sys.print_exception(error)
    return passed, failed


def _split(path):
    """Return the folder and the name of a file."""
    return path.rsplit("/", 1) if "/" in path else (".", path)


def _main(paths):
    here = _split(__file__)[0]
    sys.path[:0] = [here, here + "/../../lib", here + "/../../tools"]
    passed = failed = 0
    for path in paths:
        counts = _run_file(path)
        passed += counts[0]
        failed += counts[1]
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(0 if passed and not failed else 1)


if __name__ == "__main__":
    _main(sys.argv[1:])
