"""The locations of the packages: `sql/` and `middleware/` install as parts of `pubsubpull`."""

from setuptools import find_packages, setup

FOLDERS = {"pubsubpull.sql": "sql", "pubsubpull.middleware": "middleware"}

setup(
    packages=[*find_packages(include=["pubsubpull", "pubsubpull.*"]), *FOLDERS],
    package_dir=FOLDERS,
    package_data={
        "pubsubpull": ["py.typed", "templates/**/*.html", "static/**/*.css", "static/**/*.js"],
        "pubsubpull.sql": ["**/*.sql"],
    },
)
