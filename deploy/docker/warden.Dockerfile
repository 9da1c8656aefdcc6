# The warden. `deploy/docker/prepare` puts the binary where this looks for it.
ARG BASE=debian:12-slim
FROM ${BASE}
COPY kit/clawrden /usr/local/bin/clawrden
RUN ln -s clawrden /usr/local/bin/clawrden-warden
# It answers once its jails are there.
HEALTHCHECK --interval=5s --timeout=5s --retries=12 CMD ["clawrden", "status", "--json"]
ENTRYPOINT ["clawrden-warden"]
