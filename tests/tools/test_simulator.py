"""The simulator: stories from seeds, every cut of some exchanges, and faults made on purpose."""

import os

import pytest

from lab import simulate, simulate_mutants
from lab.simulator import exhaustive
from umq.errors import UserError

JOBS = os.cpu_count() or 1
# Caught by the first few seeds
QUICK = ("a PUBLISH is sent again without DUP", "handed over and not discarded", "recovery turns the order around")


@pytest.mark.parametrize("stories", [500, pytest.param(20_000, marks=pytest.mark.nightly)])
def test_stories_from_seeds(stories):
    report = simulate.seeds(0, stories, JOBS)
    assert report.schedules == stories
    assert not report.violations, report.as_text()
    for fault in (
        "power cut",
        "reset",
        "cut of what comes in",
        "cut of what goes out",
        "flash full",
        "callback raises",
    ):
        assert report.counts["fault: " + fault] > stories // 30, fault


def test_every_cut_of_short_exchanges():
    for task in exhaustive.tasks():
        name, store, function, *_ = task
        if name in exhaustive.SHORT and function is exhaustive.singles and store in ("in memory", "message, littlefs"):
            count = exhaustive.run(task)
            assert count.runs > 10, task
            assert not count.wrong, count.wrong[:2]


@pytest.mark.nightly
def test_every_cut_and_every_pair_of_two():
    report = simulate.exhaustive(JOBS)
    print(f"\n{report.schedules} schedules, each with one or two faults, {len(report.violations)} violations")
    assert report.schedules > 90_000
    assert not report.violations, report.as_text()


@pytest.mark.parametrize("mutant", simulate_mutants.table(), ids=lambda mutant: mutant[0])
def test_every_mutant_can_be_made(mutant, tmp_path):
    simulate_mutants.make(mutant, tmp_path)


@pytest.mark.parametrize("name", QUICK)
def test_a_mutant_is_caught(name):
    mutant = next(one for one in simulate_mutants.table() if one[0] == name)
    by, stories, words = simulate_mutants.hunt(mutant, 100)
    assert by.startswith("seed") and stories <= 100 and words


def test_a_mutant_that_no_longer_fits_is_an_error(tmp_path):
    with pytest.raises(UserError, match="0 times in session.py"):
        simulate_mutants.make(("x", "session.py", "no such text", ""), tmp_path)
