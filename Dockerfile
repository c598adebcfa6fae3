# rupor in a container: docs/howto/docker.md says how to build and run it.
FROM rust:1-slim-bookworm AS build
# A C compiler and cmake are for the library of cryptography. Their versions are those of the base image's release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake g++ make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package rupor

FROM debian:bookworm-slim
# For webhooks and PostgreSQL over TLS. Handlers in PHP want php-cli too.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 rupor \
    && useradd --uid 10001 --gid rupor --no-create-home --home-dir /var/lib/rupor --shell /usr/sbin/nologin rupor \
    && install --directory --mode 750 --owner rupor --group rupor /run/rupor /var/lib/rupor \
    && install --directory --mode 750 --owner root --group rupor /etc/rupor
COPY --from=build /src/target/release/rupor /usr/bin/rupor
# The user rupor, by number, so that a host that does not know him sees that he is not root.
USER 10001:10001
# rupor.toml is looked for here.
WORKDIR /etc/rupor
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["rupor", "check", "--ready"]
ENTRYPOINT ["rupor"]
CMD ["serve"]
