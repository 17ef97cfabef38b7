"""Routes for monitoring."""

import asyncio

from fastapi import APIRouter, Depends, Response

from visavis.service.problems import BusyError
from visavis.service.routes.fields import problem_responses
from visavis.service.state import SharedState, requires

__all__ = ["router"]

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthy() -> dict[str, str]:
    """Return that the process responds (liveness)."""
    return {"status": "ok"}


@router.get("/readyz", responses=problem_responses(503))
async def ready(service: SharedState) -> dict[str, str]:
    """Return whether requests can be served (readiness): the model is loaded, and a photo is decoded in time."""
    if not service.ready:
        raise BusyError("The service is starting or stopping.")
    await service.engine.check()
    return {"status": "ready"}


@router.get(
    "/metrics",
    dependencies=[Depends(requires("admin"))],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **problem_responses(401, 403, 429, 503)},
)
async def metrics(service: SharedState) -> Response:
    """Return metrics in Prometheus's text format."""
    service.metrics.show_population(await asyncio.to_thread(service.engine.population.check))
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")
