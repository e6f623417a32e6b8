"""The one thing pyproject.toml cannot say: which modules are compiled, and that a machine without a C compiler
still gets a working (slower) library.

LOOPWRIGHT_EXTENSIONS=0 builds none of them; =require makes a failure to compile an error (what release builds and
CI use). Left unset, a failure leaves the extension out and `loopwright doctor` says so.
"""

import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

NATIVE = "src/loopwright/_native"
HEADERS = sorted(str(header) for header in Path(NATIVE).glob("_[a-z]*.h"))
COMPILED = tuple(f"loopwright._native.{source.stem}" for source in sorted(Path(NATIVE).glob("_[a-z]*.py")))
wish = os.environ.get("LOOPWRIGHT_EXTENSIONS", "")


class BuildWithoutCompiledSources(build_py):
    """Compiled modules do not run as plain Python, so their sources stay out of the wheel."""

    def find_package_modules(self, package, package_dir):
        found = super().find_package_modules(package, package_dir)
        return [item for item in found if f"{item[0]}.{item[1]}" not in COMPILED]


def extensions():
    if wish == "0":
        return []
    from Cython.Build import cythonize  # imported here: a build without extensions needs no Cython

    modules = [
        Extension(
            name,
            [f"src/{name.replace('.', '/')}.py"],
            include_dirs=[NATIVE],
            depends=HEADERS,
            extra_compile_args=["-pthread", "-fno-plt", "-fno-semantic-interposition", "-fvisibility=hidden"],
            extra_link_args=["-pthread"],
            optional=wish != "require",
        )
        for name in COMPILED
    ]
    # Cython's own way to copy a compiled object copies pointers in it, and the memory is then freed twice.
    return cythonize(modules, language_level=3, build_dir="build/cython", compiler_directives={"auto_pickle": False})


setup(ext_modules=extensions(), cmdclass={"build_py": BuildWithoutCompiledSources})
