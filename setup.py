"""What pyproject.toml cannot say: some folders stand at the top, but install inside."""

import shutil
from pathlib import Path

from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).resolve().parent
SHIPPED = ("claims", "quizzes", "recipes")  # folders that are installed as labs_lib/NAME
# pip builds in this folder, and would pack what an earlier build left in it.
shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)

packages = find_namespace_packages(str(ROOT), include=["labs_lib", "labs_lib.*"])
for name in SHIPPED:
    below = find_namespace_packages(str(ROOT), include=[name, f"{name}.*"])
    packages += [f"labs_lib.{package}" for package in below]

setup(
    packages=[package for package in packages if "__pycache__" not in package],
    package_dir={f"labs_lib.{name}": name for name in SHIPPED},
)
