# One image for the command line, Spark's master and workers, and the mock endpoint, so that the
# driver and the executors have the same Python and the same packages.
#
#     docker build -t reviewstream .
#
# Where pip finds packages, and whom it trusts, is told by build arguments (docs/how-to/docker.md).
# They reach the first stages alone: the last copies files from those, and none of the environment.

FROM python:3.11-slim-bookworm AS base
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
# The arguments end with this stage; pip's settings go on in a file.
RUN { echo '[global]'; env | sed -n 's/^PIP_\([^=]*\)=/\1 = /p'; } > /etc/pip.conf \
    && printf '%s\n' "$CA_CERTIFICATE" >> "$PIP_CERT" \
    && python3 -m venv --without-pip /opt/venv
WORKDIR /build

# What we depend on changes seldom: two packages without contents bring it, in a layer of its own.
# Spark's Java is made now (see `wrap_for_spark`), as the image may be read-only when it runs.
FROM base AS packages
COPY pyproject.toml ./
COPY testbed/pyproject.toml testbed/
COPY testbed/reviewstream_testbed/testbed_error.py testbed/reviewstream_testbed/
COPY testbed/reviewstream_testbed/installation/cache.py testbed/reviewstream_testbed/installation/java.py \
     testbed/reviewstream_testbed/installation/
RUN mkdir -p src/reviewstream testbed/reviewstream_testbed testbed/java schemas \
    && touch README.md LICENSE testbed/README.md testbed/LICENSE src/reviewstream/__init__.py \
        testbed/reviewstream_testbed/__init__.py testbed/reviewstream_testbed/installation/__init__.py \
    && python3 -m pip --python /opt/venv/bin/python install './testbed[all]' '.[all]' \
    && /opt/venv/bin/python -c \
        'from pathlib import Path; from reviewstream_testbed.installation.java import wheel_home, wrap_for_spark; \
         wrap_for_spark(wheel_home(), Path("/opt/java"))' \
    && python3 -m pip --python /opt/venv/bin/python uninstall --yes reviewstream reviewstream-testbed

# Ourselves, from the wheels as users have us, in a folder that is laid over the rest.
FROM base AS wheel
COPY . ./
RUN python3 -m pip wheel --no-deps --wheel-dir dist ./testbed . \
    && python3 -m pip --python /opt/venv/bin/python install --no-deps --no-index --root /wheel dist/*.whl


FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="reviewstream" \
      org.opencontainers.image.description="Language-model labels in a stream: the command line, and Spark to run it on" \
      org.opencontainers.image.licenses="Apache-2.0"
# Spark asks for the user's name. The home folder is the one that is writable in any case.
RUN groupadd --gid 1000 reviewstream \
    && useradd --uid 1000 --gid 1000 --home-dir /tmp --no-create-home reviewstream \
    && install --directory --owner 1000 --group 1000 /data
COPY --from=packages /opt /opt
COPY --from=wheel /wheel /
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
