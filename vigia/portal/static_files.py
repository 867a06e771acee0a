"""The portal's own files under `/static/<version>/`: the version changes with the files, so browsers keep them for good."""

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from vigia.portal.rendering import STATIC

router = APIRouter()
_files = StaticFiles(directory=STATIC)


@router.get("/static/{version}/{path:path}")
async def static_file(request: Request, version: str, path: str) -> Response:
    """One file; 404 if there is none."""
    if path.startswith("."):
        raise HTTPException(404)
    response = await _files.get_response(path, request.scope)
    # "dev" is for files asked for by hand.
    response.headers["Cache-Control"] = "no-cache" if version == "dev" else "public, max-age=31536000, immutable"
    return response


@router.get("/favicon.ico")
async def favicon(request: Request) -> Response:
    """The mark, for browsers that ask without being told."""
    return await _files.get_response("mark.svg", request.scope)
