"""The project's files become part of a wheel, as `twostage/project_files`; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

#: What a run is made of besides the package; twostage.project finds it where no checkout is.
FILES = ("_config.yml", "notebooks", "book", "data")


class WithProjectFiles(build_py):
    """Copies them beside the package's modules; an editable installation uses those of the checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "twostage" / "project_files"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in FILES:
            if Path(name).is_dir():
                shutil.copytree(name, target / name, ignore=shutil.ignore_patterns(".*", "__pycache__"))
            else:
                shutil.copy(name, target)


setup(cmdclass={"build_py": WithProjectFiles})
