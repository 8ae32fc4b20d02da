"""The tests have the layout of the code: tests/worker tests bench_core/worker, tests/attacks tests bench_attacks, etc.

The other folders: tests/api the plugin API (bench_core/*.py that plugins import), tests/conformance the kit
(bench_core/testing), tests/runs run, store and progress, tests/suites the files in suites/, tests/golden the addresses
of all suites, tests/docs the code in the docs, tests/package the distribution and benchmarks/, tests/thirdparty plugins
of other packages, tests/faults what must survive kills and full disks. `toys.py` has the plugins that they all use.

`python -m pytest` runs all but the slow tests, a file or folder after it only that; `.ci/slow` runs the slow ones.
"""
