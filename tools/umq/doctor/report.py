"""The doctor's findings: each step has a name, what was found and, if it failed, what to do."""

import json
from dataclasses import asdict, dataclass

from umq import tables
from umq.errors import UserError

_FOUND_AT = 24  # the column at which what was found begins
_WIDE = 70  # columns: in fewer it stands below

OK, FAILED, SKIPPED, DOUBTFUL = "ok", "failed", "skipped", "doubtful"
_STYLES = {OK: "green", FAILED: "bold red", SKIPPED: "dim", DOUBTFUL: "yellow"}


class Failed(Exception):
    """A step failed: what was found, and what to do."""

    def __init__(self, found, cure=""):
        super().__init__(found)
        self.found = found
        self.cure = cure


class Doubtful(Failed):
    """This step may be right or wrong: the steps after it will tell."""


@dataclass(frozen=True)
class Finding:
    """One step. where: "this computer" or "board"; state: OK, FAILED, SKIPPED or DOUBTFUL."""

    where: str
    step: str
    state: str
    found: str
    cure: str = ""


class Report:
    """Runs steps and gathers their findings. told(finding) is called with each, begins(name) before each step."""

    def __init__(self, told, begins=lambda name: None):
        self.findings = []
        self._told = told
        self._begins = begins
        self._secrets = []

    def hide(self, *secrets):
        """Show these texts nowhere, even if an error repeats them."""
        self._secrets += [secret for secret in secrets if secret]

    def step(self, where, name, run, needs=()):
        """Run a step: run() returns what was found, or raises Failed, Doubtful or a UserError. It is skipped unless the
        steps `needs` of the same place are OK or DOUBTFUL. -> what run() returned, None if it raised."""
        unmet = next((need for need in needs if not self._went_well(where, need)), None)
        if unmet:
            self._add(Finding(where, name, SKIPPED, f"needs {unmet}"))
            return None
        self._begins(f"{where}: {name}")
        try:
            found = run()
        except Failed as error:
            state = DOUBTFUL if isinstance(error, Doubtful) else FAILED
            self._add(Finding(where, name, state, error.found, error.cure))
        except UserError as error:
            self._add(Finding(where, name, FAILED, str(error)))
        else:
            self._add(Finding(where, name, OK, str(found)))
            return found
        return None

    def skip_all(self, where, names, why):
        """Note that these steps were skipped, and why."""
        for name in names:
            self._add(Finding(where, name, SKIPPED, why))

    def failed(self):
        """The findings of the steps that failed."""
        return [finding for finding in self.findings if finding.state == FAILED]

    def _went_well(self, where, name):
        return any(
            (finding.where, finding.step) == (where, name) and finding.state in (OK, DOUBTFUL)
            for finding in self.findings
        )

    def _add(self, finding):
        self.findings.append(
            Finding(finding.where, finding.step, finding.state, self._shown(finding.found), self._shown(finding.cure))
        )
        self._told(self.findings[-1])

    def _shown(self, text):
        for secret in self._secrets:
            text = text.replace(secret, "(hidden)")
        return text


def as_text(finding, columns=None):
    """A finding for people, as a rich.text.Text, folded to `columns` (None: as it is)."""
    from rich.text import Text

    is_narrow = columns is not None and columns < _WIDE
    indent = 2 if is_narrow else _FOUND_AT
    style = "dim" if finding.state == SKIPPED else ""
    found = tables.fold(finding.found, columns, indent, 0) or [""]
    text = Text()
    text.append(f"{finding.state:8} ", style=_STYLES[finding.state])
    text.append(finding.step if is_narrow else f"{finding.step:14} {found.pop(0)[indent:]}", style=style)
    for line in found:
        text.append(f"\n{line}", style=style)
    for line in tables.fold(f"-> {finding.cure}" if finding.cure else "", columns, indent, 3):
        text.append(f"\n{line}", style="bold")
    return text


def as_json(finding):
    """A finding for a script: one JSON object on one line."""
    return json.dumps(asdict(finding))
