# One image for every part: web, screening and duty workers, and the one-shot `prepare`.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /srv/firstread

# dependencies first, so that a change of our own code reuses their layer
COPY pyproject.toml constraints.txt ./
RUN touch README.md \
    && for package in app worker models migrations; do mkdir $package && touch $package/__init__.py; done \
    && pip install --constraint constraints.txt . \
    && pip uninstall --yes firstread && rm -r app worker models migrations build *.egg-info README.md

COPY . .
RUN pip install --no-deps . && rm -r /srv/firstread/* \
    && useradd --system --uid 10001 --home-dir /data --create-home firstread
USER firstread
WORKDIR /data
ENV FIRSTREAD_HOME=/data
VOLUME /data
EXPOSE 8000 11112
ENTRYPOINT ["firstread"]
CMD ["web"]
