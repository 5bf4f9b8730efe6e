# Servers and learners of Floorline: no shell, no package manager, not root, and nothing is written
# outside of volumes. docs/deployment.md says how to run it, and what was tested of it.
#
#   docker build -t floorline .
#   docker build -t floorline:otel --build-arg EXTRAS=gateway,postgres,otel,prices .
#
# Both images are named by tag, because their digests are not known where this file was written. Pin
# them: `docker buildx imagetools inspect IMAGE` prints the digest, and the tag may stay before `@`.
# The Python of both must be of one minor version, and Debian 13 has 3.13.
FROM python:3.13-slim-trixie AS build
ARG EXTRAS=gateway,postgres
# The time that hatchling gives to files by default: the wheel has the bytes of the one that is published.
ARG SOURCE_DATE_EPOCH=1580601600
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} PIP_DISABLE_PIP_VERSION_CHECK=1 UV_LINK_MODE=copy
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY requirements/image.txt requirements/full.txt requirements/
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY benchmarks/suites benchmarks/suites
COPY src src
COPY deploy/image deploy/image
# The wheel is built here, and every package that it needs must have a hash of the lock file.
RUN hatchling build -t wheel -d /dist \
    && deploy/image/install /dist /app "${EXTRAS}" \
    && mkdir /state

FROM gcr.io/distroless/python3-debian13:nonroot
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Floorline" \
      org.opencontainers.image.description="Routes each LLM request to the cheapest model that keeps a promised floor on quality" \
      org.opencontainers.image.source="https://github.com/floorline/floorline" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /app /app
# So that a new volume belongs to the user below.
COPY --from=build --chown=65532:65532 /state /var/lib/floorline
ENV PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# nonroot, by number, so that Kubernetes can check it.
USER 65532:65532
# The configuration is mounted at /etc/floorline; a spool or a SQLite file at /var/lib/floorline.
WORKDIR /var/lib/floorline
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["/usr/bin/python3", "/app/healthcheck.py"]
ENTRYPOINT ["/usr/bin/python3", "-m", "floorline"]
CMD ["serve", "--config", "/etc/floorline/floorline.yaml", "--host", "0.0.0.0", "--port", "8080"]
