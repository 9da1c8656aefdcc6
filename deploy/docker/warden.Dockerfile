# The warden. `deploy/docker/prepare` puts the binary where this looks for it.
ARG BASE=debian:12-slim
FROM ${BASE}
COPY kit/clawrden /usr/local/bin/clawrden
RUN ln -s clawrden /usr/local/bin/clawrden-warden
# Healthy while requests can be served: its jails' sockets are there, a policy is in force, the ledger can be written.
HEALTHCHECK --interval=5s --timeout=5s --retries=12 CMD ["clawrden", "health"]
ENTRYPOINT ["clawrden-warden"]
