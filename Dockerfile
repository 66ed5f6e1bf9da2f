# 湖北一张图 / OneMap Hubei. The same locks as everywhere; `docker build -t onemap-hubei .`

FROM node:24-bookworm-slim AS portal
WORKDIR /app/portal
COPY portal/package.json portal/package-lock.json ./
RUN npm ci --include=dev --no-audit --no-fund
COPY portal ./
RUN npm run build && test -f /app/spatial/static/portal/index.html

FROM python:3.12-slim-bookworm AS python
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
COPY requirements.lock ./
RUN pip install --require-hashes --no-deps --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md ./
COPY spatial spatial
COPY tiles tiles
COPY analyses analyses
# Editable: the code finds layers/ and data-samples/ beside it, as in a checkout.
RUN pip install --no-deps --editable .

FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        fontconfig fonts-noto-cjk libexpat1 libharfbuzz-subset0 libpango-1.0-0 libpangoft2-1.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/onemap --create-home onemap
COPY --from=python /opt/venv /opt/venv
COPY --from=python /app /app
COPY --from=portal /app/spatial/static/portal /app/spatial/static/portal
COPY layers /app/layers
COPY data-samples /app/data-samples
COPY pygeoapi-config.yml /app/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    ONEMAP_HOST=0.0.0.0 \
    ONEMAP_PORT=8000 \
    ONEMAP_VAR_DIR=/var/lib/onemap
USER onemap
WORKDIR /var/lib/onemap
VOLUME /var/lib/onemap
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=4 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['ONEMAP_PORT']}/health\", timeout=4)"]
CMD ["onemap", "serve"]
