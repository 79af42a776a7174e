"""DICOMweb below /dicomweb: STOW-RS, QIDO-RS and WADO-RS of PS3.18."""

from __future__ import annotations

from fastapi import APIRouter

from app.web.dicomweb.qido import router as qido
from app.web.dicomweb.rendered import router as rendered
from app.web.dicomweb.stow import router as stow
from app.web.dicomweb.wado import router as wado

routers: tuple[APIRouter, ...] = (stow, qido, rendered, wado)

__all__ = ["routers"]
