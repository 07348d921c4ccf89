# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the integration tests serve the fault tests too."""
import importlib.util
import os
import pathlib

_path = pathlib.Path(__file__).resolve().parents[1] / "integration" / "conftest.py"
_spec = importlib.util.spec_from_file_location("integration_conftest", _path)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
globals().update({name: value for name, value in vars(_module).items()
                  if not name.startswith("_")})


def pytest_generate_tests(metafunc):
    """`make faults RUNS=100`: so many seeds from SEED on."""
    if "seed" in metafunc.fixturenames:
        first, runs = int(os.environ.get("SEED", "1")), int(os.environ.get("RUNS", "3"))
        metafunc.parametrize("seed", range(first, first + runs))
