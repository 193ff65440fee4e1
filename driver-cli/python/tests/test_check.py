from __future__ import annotations

import sys
import unittest

from test_driver.check import _dependency, _version


class CheckTest(unittest.TestCase):
    def test_versions(self) -> None:
        major, minor, micro = sys.version_info[:3]
        fitting = [
            f">={major}.{minor}",
            f"=={major}.{minor}.*",
            f"~={major}.{minor}",
            f"=={major}.{minor}.{micro}",
            f">{major}, <{major + 1}",
            f"!={major}.{minor}.{micro + 1}",
            f"<={major}.{minor}.{micro}",
        ]
        for requirement in fitting:
            self.assertEqual(_version(requirement), [], requirement)
        for requirement in [
            f">={major}.{minor + 1}",
            f"<{major}.{minor}",
            f"~={major}.{minor}.{micro + 1}",
            f"!={major}.{minor}.*",
            f">={major},<{major}",
        ]:
            self.assertEqual(_version(requirement)[0]["kind"], "version", requirement)
        for requirement in ["3.11", ">=3.x", ">=3.11.*", "=>3"]:
            self.assertEqual(_version(requirement)[0]["kind"], "malformed", requirement)

    def test_dependencies(self) -> None:
        self.assertEqual(_dependency("surely-not-installed>=1")[0]["message"], "not installed")
        self.assertEqual(_dependency("!!")[0]["kind"], "malformed")
