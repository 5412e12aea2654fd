"""umq as its users have it: installed from a wheel into an environment of its own, in an empty home."""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile

import pytest

from umq import micropython as micropythons
from umq.project import ROOT

_MOST_COMMANDS, _MOST_S = 7, 60


def _run(command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=2 * _MOST_S, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built in a copy of what git would hand out."""
    pytest.importorskip("setuptools", "84", reason="`make setup` installs the setuptools that builds the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.mpy")
    for part in ("lib", "firmware", "boards", "tools/umq"):
        shutil.copytree(ROOT / part, tree / part, ignore=skip)
    for file in ("pyproject.toml", "setup.py", "MANIFEST.in", "LICENSE"):
        shutil.copy(ROOT / file, tree)
    (tree / "firmware/config.json").write_text("a secret")
    (tree / "firmware/ca.der").write_text("the user's")
    (tree / "build/lib/umqtt_full").mkdir(parents=True)
    (tree / "build/lib/umqtt_full/client.mpy").write_text("made by `umq build`")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "wheel", "-q", "--no-index", "--no-build-isolation", "--no-deps", "-w", folder, tree])
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture
def installed(wheel, micropython, tmp_path):
    """installed.run(words...) runs the umq that was installed from the wheel, in an empty home."""
    home, environment = tmp_path / "home", tmp_path / "environment"
    home.mkdir()
    _run([sys.executable, "-m", "venv", "--without-pip", environment])
    python = environment / "bin" / "python"
    _run([sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-index", "--no-deps", wheel])
    # Its dependencies are those of this environment. umq is not: a .pth that is found by a .pth has no effect.
    theirs = _run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
    with open(os.path.join(theirs, "dependencies.pth"), "w") as file:
        file.write(sysconfig.get_path("purelib") + "\n")
    (environment / "bin" / "micropython").symlink_to(micropythons.command()[0])
    return _Installed(environment / "bin" / "umq", home)


class _Installed:
    def __init__(self, program, home):
        self.program, self.home, self.folder = program, home, home
        self.commands = 0
        self.environment = {
            "HOME": str(home),
            "PATH": f"{program.parent}:/usr/bin:/bin",
            "UMQ_WIFI_PASSPHRASE": "virtual-passphrase",
        }

    def run(self, *words):
        self.commands += 1
        return _run([self.program, *words], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL)

    def start(self, *words):
        self.commands += 1
        return subprocess.Popen(
            [str(self.program), *map(str, words)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


def test_a_wheel_holds_what_boards_need_and_nothing_of_the_makers_or_the_users(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    parts = {name for name in names if not name.startswith("umqtt_full_host-")}
    assert all(name.startswith("umq/") for name in parts)
    for path in ("lib/umqtt_full/client.py", "lib/client.json", "firmware/node.py", "boards/RPI_PICO_W/board.json"):
        assert f"umq/files/{path}" in parts
    assert not [name for name in parts if name.endswith((".mpy", ".der", "config.json", ".pyc"))]
    sources = {path.relative_to(ROOT) for part in ("lib", "firmware", "boards") for path in (ROOT / part).rglob("*.py")}
    assert {f"umq/files/{path}" for path in sources} <= parts


def test_a_project_of_ones_own_is_a_node_outside_a_clone(installed, broker):
    started = time.monotonic()
    installed.run("new", "greenhouse")
    assert sorted(os.listdir(installed.home)) == ["greenhouse"]
    installed.folder = installed.home / "greenhouse"
    with installed.start("virtual", "--link", "board") as board:
        try:
            assert board.stdout.readline() == "board\n"
            installed.run(
                *("config", "--name", "greenhouse", "--server", "127.0.0.1", "--wifi", "virtual"),
                *("--set", f"port={broker.port}"),
            )
            installed.run("deploy", "--port", "board")
            seen = installed.run("monitor", "--plain", "--until", "greenhouse", "--seconds", str(_MOST_S))
        finally:
            board.terminate()
    assert "greenhouse" in seen and "telemetry" in seen
    assert time.monotonic() - started < _MOST_S and installed.commands <= _MOST_COMMANDS
    assert sorted(os.listdir(installed.folder)) == [".gitignore", "app.py", "config.json", "lib"]
    assert "/config.json" in (installed.folder / ".gitignore").read_text()
    assert (installed.folder / "lib/umqtt_full/client.py").exists()


def test_images_and_the_mip_package_are_made_where_one_stands(installed):
    installed.run("config", "--name", "attic", "--server", "192.168.1.10", "--wifi", "home")
    installed.run("image", "RPI_PICO_W")
    installed.run("build")
    assert (installed.home / "build/images/attic.uf2").exists()
    assert (installed.home / "build/lib/client.json").exists()


def test_a_folder_with_files_is_no_new_project(installed):
    (installed.home / "mine").mkdir()
    (installed.home / "mine" / "notes").touch()
    done = subprocess.run(
        [installed.program, "new", "mine"],
        cwd=installed.home,
        env=installed.environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "mine is there already and is not an empty folder" in done.stderr
    assert os.listdir(installed.home / "mine") == ["notes"]


def test_umqtt_full_can_be_imported_in_the_environment_of_the_clone():
    where = _run([sys.executable, "-c", "import umqtt_full; print(umqtt_full.__file__)"], cwd="/")
    assert where.strip() == str(ROOT / "lib/umqtt_full/__init__.py")
