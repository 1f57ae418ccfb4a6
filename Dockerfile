# One image for the command line, Spark's master and workers, and the mock endpoint, so that the
# driver and the executors have the same Python and the same packages.
#
#     docker build -t reviewstream .
#
# Where pip finds packages, and whom it trusts, is told by build arguments.
# They reach the first stage alone: the second copies files from it, and none of its environment.

FROM python:3.11-slim-bookworm AS build
# Tells its leftovers from others': docker image prune --filter label=reviewstream.stage=build
LABEL reviewstream.stage=build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ARG PIP_DEFAULT_TIMEOUT
# A certificate authority of your network, as PEM text.
ARG CA_CERTIFICATE=
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN printf '%s\n' "$CA_CERTIFICATE" >> "$PIP_CERT" \
    && python3 -m venv /opt/venv
WORKDIR /build

# What we depend on changes seldom: a package without contents brings it, in a layer of its own.
COPY pyproject.toml ./
RUN mkdir -p src/reviewstream testbed/reviewstream_testbed testbed/images testbed/java schemas \
    && touch README.md LICENSE src/reviewstream/__init__.py testbed/reviewstream_testbed/__init__.py \
    && /opt/venv/bin/pip install '.[all]' \
    && /opt/venv/bin/pip uninstall --yes reviewstream

# Then ourselves, as users have us: from the wheel, into a folder that is laid over the rest. Spark's
# Java is made now (see `wrap_for_spark`), because the image may be read-only when it runs.
COPY . ./
RUN /opt/venv/bin/pip wheel --no-deps --wheel-dir dist . \
    && /opt/venv/bin/pip install --no-deps --no-index --root /package dist/*.whl \
    && PYTHONPATH=$(echo /package/opt/venv/lib/python*/site-packages) /opt/venv/bin/python -c \
        'from pathlib import Path; from reviewstream_testbed.java import *; \
         wrap_for_spark(wheel_home(), Path("/package/opt/java"))'


FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="reviewstream" \
      org.opencontainers.image.description="Language-model labels in a stream: the command line, and Spark to run it on" \
      org.opencontainers.image.licenses="Apache-2.0"
# Spark asks for the user's name. The home folder is the one that is writable in any case.
RUN groupadd --gid 1000 reviewstream \
    && useradd --uid 1000 --gid 1000 --home-dir /tmp --no-create-home reviewstream \
    && install --directory --owner 1000 --group 1000 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /package /
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    JAVA_HOME=/opt/java \
    PYSPARK_PYTHON=/opt/venv/bin/python \
    SPARK_WORKER_DIR=/tmp/spark-worker
USER 1000:1000
# Relative paths, such as the checkpoint's, are meant for a volume mounted here.
WORKDIR /data
# No HEALTHCHECK: what is healthy differs by command. compose.yaml has one for each service.
ENTRYPOINT ["reviewstream"]
CMD ["--help"]
