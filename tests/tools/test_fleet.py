"""umq fleet: an image for each node; onto the boards one by one, past those that fail, and on from where it stopped."""

import contextlib
import functools
import io
import json
import stat

import pytest

from emulation.rom import EmulatedRom
from mounted import mount
from umq import boards
from umq.__main__ import main
from umq.errors import UserError
from umq.flash import by_drive, uf2, ways
from umq.fleet import flashing

_SECRETS = {"attic": "swordfish-hunter2", "cellar": "correct-horse-battery", "shed": "open-sesame-1234"}
_XIP = 0x10000000


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with nodes.csv, of three nodes, and common.json, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    _write_rows(_SECRETS)
    (tmp_path / "common.json").write_text(json.dumps({"server": "b", "wifi_ssid": "home", "user": "u"}))
    return tmp_path


def _write_rows(secrets):
    with open("nodes.csv", "w") as file:
        file.write("client_id,password\n" + "".join(f"{name},{secret}\n" for name, secret in secrets.items()))


def _fleet(*words):
    # Sources, for compiling takes a second each time.
    told = ["--config", "common.json", "--out", "out", "--no-mpy"]
    return main(["fleet", "nodes.csv", "RPI_PICO_W", *told, *words])


def test_each_node_gets_an_image_of_its_own(here, micropython, capsys):
    assert _fleet("--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["client_id"] for row in rows] == list(_SECRETS)
    place = boards.load("RPI_PICO_W").filesystem
    for row in rows:
        file = here / row["file"]
        assert file == here / "out" / f"{row['client_id']}.uf2"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        found = uf2.parse(file.read_bytes())
        flash = found.read(_XIP, place.offset + place.size)
        assert mount(micropython, here, flash, place, "run")["client_id"] == row["client_id"]
        held = [name for name, secret in _SECRETS.items() if secret.encode() in flash]
        assert held == [row["client_id"]]


class _Asked:
    # Who is asked, and what they answer.

    def __init__(self, *answers):
        self._answers = list(answers)
        self.words = []

    def __call__(self, words):
        self.words.append(words)
        return self._answers.pop(0)


def test_with_rom_an_image_holds_only_what_starts_the_node(here, micropython, capsys):
    assert _fleet("--rom") == 0
    capsys.readouterr()
    place = boards.load("RPI_PICO_W").filesystem
    for name in _SECRETS:
        flash = uf2.parse((here / "out" / f"{name}.uf2").read_bytes()).read(_XIP, place.offset + place.size)
        files = mount(micropython, here, flash, place)["files"]
        assert sorted(files) == [".umq/deployed", "boot.py", "config.json", "main.py"]


def _put_into(done, faulty=()):
    def put(name, port):
        if name in faulty:
            raise UserError(f"{port} is gone")
        done.append((name, port))

    return put


def test_without_ports_every_board_is_asked_for():
    done, ask = [], _Asked("", "", "")
    outcome = flashing.flash(["attic", "cellar", "shed"], [], _put_into(done), ask)
    assert done == [("attic", None), ("cellar", None), ("shed", None)]
    assert ask.words[1] == "2 of 3: plug in the board for cellar, then Enter (s skips, q stops): "
    assert {word for word, _ in outcome.values()} == {"flashed"}


def test_with_ports_only_the_boards_beyond_them_are_asked_for():
    done, ask = [], _Asked("")
    flashing.flash(["attic", "cellar", "shed"], ["one", "two"], _put_into(done), ask)
    assert done == [("attic", "one"), ("cellar", "two"), ("shed", "one")]
    assert ask.words == ["3 of 3: plug in the board for shed at one, then Enter (s skips, q stops): "]


@pytest.mark.parametrize(
    "answers, words",
    [
        (("", "s", ""), ["flashed", "not yet", "flashed"]),
        (("", "q"), ["flashed", "not yet", "not yet"]),
        ((None,), ["not yet", "not yet", "not yet"]),
    ],
)
def test_a_board_may_be_passed_over_and_the_rest_left(answers, words):
    outcome = flashing.flash(["attic", "cellar", "shed"], [], _put_into([]), _Asked(*answers))
    assert [word for word, _ in outcome.values()] == words


def test_a_board_that_fails_does_not_stop_the_others():
    done = []
    outcome = flashing.flash(["attic", "cellar", "shed"], ["1", "2", "3"], _put_into(done, ["cellar"]), _Asked())
    assert done == [("attic", "1"), ("shed", "3")]
    assert outcome["cellar"] == ("failed", "2 is gone")


@pytest.fixture
def by_rom(monkeypatch):
    """Esptool without its stub, which no emulation runs."""
    monkeypatch.setattr(ways, "way", functools.partial(ways.way, no_stub=True))


def _esp32_fleet(*words):
    return main(["fleet", "nodes.csv", "ESP32_GENERIC", "--config", "common.json", "--out", "out", "--json", *words])


def test_what_failed_is_listed_and_the_next_run_does_only_that(here, by_rom, micropython, capsys):
    place = boards.load("ESP32_GENERIC").filesystem
    with contextlib.ExitStack() as chips:
        roms = [chips.enter_context(EmulatedRom(chip)) for chip in ("esp32", "esp32c3", "esp32", "esp32")]
        ports = [f"--port={rom.url}" for rom in roms]
        assert _esp32_fleet("--flash", *ports[:3]) == 1
        first = json.loads(capsys.readouterr().out)
        assert [row["state"] for row in first] == ["flashed", "failed", "flashed"]
        assert first[1]["why"].startswith(
            f"the chip at {roms[1].url} is an ESP32-C3, but ESP32_GENERIC has the chip esp32"
        )
        assert roms[1].flash == b"\xff" * len(roms[1].flash)
        heard = [rom.received for rom in roms[:3]]

        assert _esp32_fleet("--flash", ports[3]) == 0
        second = json.loads(capsys.readouterr().out)
        assert [row["state"] for row in second] == ["flashed before", "flashed", "flashed before"]
        assert [rom.received for rom in roms[:3]] == heard
        for rom, name in zip((roms[0], roms[3], roms[2]), _SECRETS, strict=True):
            data = (here / "out" / f"{name}.bin").read_bytes()
            assert rom.flash[place.offset :] == data + b"\xff" * (place.size - len(data))
            assert mount(micropython, here, bytes(rom.flash), place, "run")["client_id"] == name

        assert _esp32_fleet("--flash") == 0
        assert {row["state"] for row in json.loads(capsys.readouterr().out)} == {"flashed before"}
        assert [rom.received for rom in roms[:3]] == heard


@pytest.fixture
def drives(here, monkeypatch):
    """Two folders that stand in for the drives of chips in boot mode. They stay: what was copied is read back."""
    monkeypatch.setattr(by_drive, "_wait", lambda look, patience_s: look())
    folders = [here / "drive1", here / "drive2"]
    for folder in folders:
        folder.mkdir()
        (folder / "INFO_UF2.TXT").write_text("Board-ID: RPI-RP2\r\n")
    return folders


def _taken(drive):
    # The files that were copied to a drive since the last look.
    files = sorted(drive.glob("*.uf2"))
    for file in files:
        file.unlink()
    return [file.stem for file in files]


def test_uf2_images_go_onto_the_drives_of_the_boot_mode(here, drives, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert _fleet("--flash", *(f"--port={drive}" for drive in drives)) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [*(f"flashed         {name}" for name in _SECRETS), "3 of 3 boards have their image"]
    assert (drives[1] / "cellar.uf2").read_bytes() == (here / "out" / "cellar.uf2").read_bytes()
    assert [_taken(drive) for drive in drives] == [["attic", "shed"], ["cellar"]]


def test_a_node_that_changed_or_is_named_is_flashed_again(drives, capsys):
    outcome = []
    for secret, words in (("one", []), ("one", []), ("another", []), ("another", ["--node=attic"])):
        _write_rows({"attic": secret})
        assert _fleet("--flash", f"--port={drives[0]}", *words) == 0
        outcome.append((capsys.readouterr().out.split()[0:2], _taken(drives[0])))
    flashed = (["flashed", "attic"], ["attic"])
    assert outcome == [flashed, (["flashed", "before"], []), flashed, flashed]


def test_a_run_that_was_stopped_goes_on(drives, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))
    assert _fleet("--flash", f"--port={drives[0]}") == 1
    said = capsys.readouterr()
    assert [line[:14].strip() for line in said.out.splitlines()[:3]] == ["flashed", "not yet", "not yet"]
    assert said.out.endswith("\n1 of 3 boards have their image: run it again for the rest\n")
    assert f"2 of 3: plug in the board for cellar at {drives[0]}" in said.err
    assert _taken(drives[0]) == ["attic"]
    assert _fleet("--flash", *(f"--port={drive}" for drive in drives)) == 0
    assert [_taken(drive) for drive in drives] == [["cellar"], ["shed"]]


def test_nothing_is_done_when_a_row_is_wrong(here, capsys):
    with open("nodes.csv", "a") as file:
        file.write(f"attic,{_SECRETS['attic']}\nbarn,{_SECRETS['attic']},\n")
    assert _fleet("--flash") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "nodes.csv line 5: \"client_id\" is 'attic', which line 2 has too",
        "nodes.csv line 6: has 3 cells, and the first line has 2",
        "umq: nodes.csv: 2 of 5 rows are wrong: nothing was done",
    ]
    assert not (here / "out").exists()


def test_no_secret_is_ever_shown(here, by_rom, capfd):
    with EmulatedRom("esp32") as rom:
        assert _fleet() == 0
        assert _esp32_fleet("--flash", f"--port={rom.url}", "--node=attic") == 0
    said = "".join(capfd.readouterr())
    assert "attic" in said
    assert not any(secret in said for secret in _SECRETS.values())
    assert stat.S_IMODE((here / "out" / "fleet.json").stat().st_mode) == 0o600
    assert not any(secret in (here / "out" / "fleet.json").read_text() for secret in _SECRETS.values())


_MISTAKES = {
    "port": (["--port", "/dev/ttyUSB0"], "--port says where to write to: add --flash"),
    "node": (["--node", "barn"], "nodes.csv has no node 'barn'"),
    "common file": (["--config", "nowhere.json"], "nowhere.json: not found; `umq config` makes it"),
    "firmware": (["--firmware", "nodes.csv"], "nodes.csv line 2: this firmware does not fit RPI_PICO_W: it is not"),
    "folder": (["--out", "nodes.csv/out"], "nodes.csv/out/attic.uf2: cannot be written: nodes.csv/out is not a folder"),
}


@pytest.mark.parametrize("words, answer", _MISTAKES.values(), ids=_MISTAKES)
def test_a_mistake_is_one_clear_line(words, answer, here, capsys):
    assert _fleet(*words) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith(f"umq: {answer}")


def test_a_virtual_board_is_not_flashed(here, capsys):
    assert main(["fleet", "nodes.csv", "VIRTUAL", "--flash"]) == 1
    assert capsys.readouterr().err.startswith("umq: VIRTUAL is not flashed: leave --flash out")


def test_a_garbled_state_is_named_and_not_overwritten(here, capsys):
    assert _fleet() == 0
    (here / "out" / "fleet.json").write_text("{")
    assert _fleet("--flash") == 1
    assert (
        "umq: out/fleet.json is damaged: delete it; then every node counts as not flashed yet"
        in capsys.readouterr().err
    )
    assert (here / "out" / "fleet.json").read_text() == "{"
