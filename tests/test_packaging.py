# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is installed, and that what is written about it is so.
"""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import flocknode
from flocknode import configkeys
from tests.test_imports import imports_of, modules

TOP = Path(flocknode.__file__).parent.parent

IMPORTED_AS = {
    "pyzmq": "zmq",
    "pynacl": "nacl",
    "pyopenssl": "OpenSSL",
    "attrs": "attrs",
    "zope.interface": "zope",
}
"""Distribution to the name it is imported by, where they differ."""

OPTIONAL = {"observe": ("scikit-learn", "sklearn")}
"""Extra to the distribution that a part does without where it is not installed."""

NEEDED_BY_OTHERS = {"pyasyncore"}
"""What only a dependency imports: pyinotify needs asyncore, which Python 3.12 left out."""


def setup() -> configparser.ConfigParser:
    """What is in setup.cfg."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(TOP / "setup.cfg")
    return parser


def distributions(requirements: str) -> set[str]:
    """The names in a list of requirements."""
    lines = filter(None, (line.strip() for line in requirements.splitlines()))
    return {re.split(r"[ ;<>=\[]", line)[0].lower() for line in lines}


class Package(SynchronousTestCase):
    """setup.cfg against the tree."""

    def test_every_package_is_installed_and_nothing_else(self) -> None:
        packages = set(setup()["options"]["packages"].split())
        found = {name for name, (_, package) in modules().items() if package}
        self.assertEqual(packages, found | {"twisted.plugins"})

    def test_twisted_plugins_is_no_package_of_ours(self) -> None:
        names = {path.name for path in (TOP / "twisted").rglob("*.py")}
        self.assertEqual(names, {"flocknode_plugin.py"})

    def test_what_is_imported_is_required_and_the_other_way_round(self) -> None:
        names = {name.split(".")[0] for names in imports_of(modules()).values() for name in names}
        for extra, (distribution, name) in OPTIONAL.items():
            extras = distributions(setup()["options.extras_require"][extra])
            self.assertEqual(extras, {distribution})
            names.remove(name)
        names -= set(sys.stdlib_module_names) | {"flocknode"}
        names -= distributions(setup()["options.extras_require"]["watchdog"])
        required = distributions(setup()["options"]["install_requires"]) - NEEDED_BY_OTHERS
        self.assertEqual({IMPORTED_AS.get(name, name) for name in required}, names)

    def test_dependencies_are_limited_to_where_they_are_needed(self) -> None:
        lines = setup()["options"]["install_requires"].splitlines()
        self.assertIn('pyasyncore; python_version >= "3.12"', lines)
        self.assertIn('pyinotify >= 0.9.6; sys_platform == "linux"', lines)


class Documents(SynchronousTestCase):
    """What is written for people."""

    def test_the_readme_names_the_two_commands_and_they_exist(self) -> None:
        readme = (TOP / "README.md").read_text()
        makefile = (TOP / "Makefile").read_text()
        for command in ("flock", "test"):
            self.assertIn(f"make {command}", readme)
            self.assertRegex(makefile, rf"(?m)^{command}:")

    def test_links_lead_somewhere(self) -> None:
        for page in [TOP / "README.md", *(TOP / "docs").glob("*.md")]:
            links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
            for link in links:
                if "://" not in link:
                    self.assertTrue((page.parent / link).exists(), f"{page.name}: {link}")

    def test_every_key_of_the_configuration_is_described(self) -> None:
        text = (TOP / "docs" / "configuration.md").read_text()
        for section, keys in configkeys.KEYS.items():
            for key in keys:
                self.assertIn(f"`{key}`", text, f"{section} {key}")

    def test_the_licence_is_the_one_that_is_named(self) -> None:
        self.assertEqual(setup()["metadata"]["license"], "GPL-3.0-or-later")
        self.assertIn("GNU GENERAL PUBLIC LICENSE", (TOP / "LICENSE").read_text()[:200])
