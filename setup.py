"""What pyproject.toml cannot say: a wheel holds library, firmware and boards too, in umq/files."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

_PARTS = {
    "lib": ("*.json", "umqtt_full/*.py"),
    "firmware": ("*.py", "config.example.json"),
    "boards": (
        "firmware.json",
        "manifest.py",
        "*/board.json",
        "*/manifest.py",
        "*/README.md",
        "VIRTUAL/modules/**/*.py",
    ),
}


class BuildWithFiles(build_py):
    def run(self):
        if not self.editable_mode:  # an editable umq uses the files of its clone
            shutil.rmtree(Path(self.build_lib, "umq"), ignore_errors=True)  # what an earlier build left
        super().run()
        for target, source in self._files().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def _files(self):
        # {file in the wheel: file in the clone}
        if self.editable_mode:
            return {}
        files = Path(self.build_lib, "umq", "files")
        sources = [path for part, names in _PARTS.items() for name in names for path in sorted(Path(part).glob(name))]
        return {str(files / path): str(path) for path in sources}

    def get_outputs(self, include_bytecode=1):
        return [*super().get_outputs(include_bytecode), *self._files()]


# build/lib, where setuptools would build, is where `umq build` puts the library for boards.
setup(cmdclass={"build_py": BuildWithFiles}, options={"build": {"build_base": "build/python"}})
