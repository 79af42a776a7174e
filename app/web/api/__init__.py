"""The REST interface below /api/v1."""

from __future__ import annotations

from fastapi import APIRouter

from app.web.api.consulting import router as consulting
from app.web.api.datasets import router as datasets
from app.web.api.exports import router as exports
from app.web.api.images import router as images
from app.web.api.jobs import router as jobs
from app.web.api.layers import router as layers
from app.web.api.models import router as models
from app.web.api.network import router as network
from app.web.api.occlusion import router as occlusion
from app.web.api.results import router as results
from app.web.api.review import router as review
from app.web.api.shadow import router as shadow
from app.web.api.similar import router as similar
from app.web.api.snapshots import router as snapshots
from app.web.api.studies import router as studies
from app.web.api.training import router as training
from app.web.api.worklist import router as worklist

routers: tuple[APIRouter, ...] = (
    studies,
    similar,
    worklist,
    review,
    consulting,
    images,
    occlusion,
    results,
    network,
    training,
    models,
    shadow,
    exports,
    layers,
    jobs,
    datasets,
    snapshots,
)

__all__ = ["routers"]
