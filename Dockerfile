# crm-api in production: `docker build -t crm-api:local .`, then see compose.yaml.
# One image, three uses: `crm-api serve` (the default), `crm-api worker`, `crm-api migrate`.

FROM python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# The service's packages, exactly those of requirements.lock, in an environment without pip.
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/crm-api \
 && pip --python /opt/crm-api/bin/python install --require-hashes --only-binary :all: -r requirements.lock

# The build backend, from the same locks, in this stage only.
COPY tools/locked.py requirements-dev.lock ./
RUN python locked.py requirements-dev.lock hatchling > backend.lock \
 && pip install --require-hashes --only-binary :all: -r backend.lock

# The project itself: one wheel, the migrations inside it.
COPY pyproject.toml README.md LICENSE ./
COPY migrations ./migrations
COPY src ./src
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && pip --python /opt/crm-api/bin/python install --no-deps --no-index dist/*.whl

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="crm-api" \
      org.opencontainers.image.description="Headless, API-first CRM for charities and nonprofits" \
      org.opencontainers.image.licenses="AGPL-3.0-or-later"

# A user of its own with a number that volumes and policies can rely on, and nothing left to install things with.
RUN groupadd --gid 10001 crm \
 && useradd --uid 10001 --gid crm --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin crm \
 && install --directory --owner=crm --group=crm --mode=0700 /srv/crm-api/files /srv/crm-api/spool \
 && pip uninstall --yes --root-user-action=ignore pip
COPY --from=build /opt/crm-api /opt/crm-api

ENV PATH=/opt/crm-api/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CRM_HOST=0.0.0.0 \
    CRM_PORT=8000
WORKDIR /srv/crm-api
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['CRM_PORT']), timeout=3); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]
CMD ["crm-api", "serve"]
