"""Documentation for people: one page from the OpenAPI document, without scripts and without files from elsewhere."""

from importlib import resources

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from vigia.api.document import METHODS
from vigia.api.problems import INTERNAL, INVALID, KINDS

router = APIRouter(include_in_schema=False)
_pages = Environment(loader=PackageLoader("vigia.api"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@router.get("/docs")
async def documentation(request: Request) -> HTMLResponse:
    """Every operation, by tag."""
    document = request.app.openapi()
    operations = [(method, path, item[method]) for path, item in document["paths"].items() for method in METHODS if method in item]
    page = _pages.get_template("docs.html")
    return HTMLResponse(
        page.render(info=document["info"], tags=document["tags"], operations=operations, schemas=document["components"]["schemas"])
    )


@router.get("/docs/style.css")
async def style() -> Response:
    """The look of these pages."""
    css = resources.files("vigia.api").joinpath("templates", "docs.css").read_text("utf-8")
    return Response(css, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


@router.get("/problems/{name}")
async def problem(name: str) -> HTMLResponse:
    """What a problem's type means."""
    kinds = {kind.name: (kind, error.__doc__) for error, kind in KINDS.items()}
    kinds |= {INVALID.name: (INVALID, "The input does not have the documented form."), INTERNAL.name: (INTERNAL, "The server failed.")}
    chosen = [kinds[name]] if name in kinds else sorted(kinds.values(), key=lambda entry: entry[0].name)
    return HTMLResponse(_pages.get_template("problems.html").render(problems=chosen))
