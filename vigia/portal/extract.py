"""Keep the translations complete: `python -m vigia.portal.extract` adds new texts to every `.po` and drops those no longer used.

Texts are written in English where they stand: `_()` and `trans` in templates, `text()`, `plural()` and `N_()` in Python.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from vigia.portal.language import DOMAIN, LOCALES

_ROOT = Path(__file__).parent
_METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
_OPTIONS = {"templates/**.html": {"extensions": "jinja2.ext.do", "silent": "false"}}
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None, "text": None, "plural": (1, 2)}

TRANSLATED = ("es", "pt")
"""Languages that need a catalog; English stands in the source."""


def found_texts() -> Catalog:
    """Every text of the pages, as an empty catalog."""
    catalog = Catalog(project="Vigía portal", charset="utf-8")
    for text in _texts():
        catalog.add(text)
    return catalog


def catalog_of(language: str) -> Catalog:
    """The translations of `language` as they are written down."""
    with po_file(language).open("rb") as file:
        return read_po(file, locale=language)


def po_file(language: str) -> Path:
    """Where the translations of `language` are written."""
    return LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def _texts() -> Iterator[str | tuple[str, str]]:
    extracted = extract_from_dir(
        _ROOT, method_map=_METHODS, options_map=_OPTIONS, keywords=_KEYWORDS, directory_filter=lambda name: "frontend" not in str(name)
    )
    for _file, _line, message, _comments, _context in extracted:
        yield (message[0], message[1]) if isinstance(message, tuple) else message


def main() -> int:
    """Update the catalogs; prints how many texts each still lacks."""
    template = found_texts()
    for language in TRANSLATED:
        path = po_file(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        catalog = catalog_of(language) if path.exists() else Catalog(locale=language, project="Vigía portal", charset="utf-8")
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        catalog.version, catalog.msgid_bugs_address, catalog.last_translator, catalog.language_team = "1", "", "", ""
        with path.open("wb") as file:
            write_po(file, catalog, sort_output=True, width=0, no_location=True, omit_header=False, ignore_obsolete=True)
        missing = sum(
            1 for message in catalog if message.id and not all(message.string if isinstance(message.string, tuple) else (message.string,))
        )
        sys.stdout.write(f"{language}: {len(catalog)} texts, {missing} to translate\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
