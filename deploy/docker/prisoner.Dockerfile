# A prisoner: any image with a shell, made governed, and an agent in it. For an agent image of your own,
# `clawrden harden IMAGE` writes such a file. LOCK=--lock puts the tools themselves out of the agent's reach.
ARG BASE=debian:12-slim
FROM ${BASE}
ARG TOOLS=ls,rm,cat,git,npm,pip,curl
ARG LOCK=
USER 0
COPY agent.sh /usr/local/bin/example-agent
RUN mkdir -p /workspace && chown 1000:1000 /workspace
COPY kit/clawrden-shim kit/install-clawrden.sh /clawrden-kit/
RUN /bin/sh /clawrden-kit/install-clawrden.sh --tools "$TOOLS" --user 1000:1000 $LOCK --clean
# For what is started without a shell.
ENV PATH=/clawrden/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/workspace
USER 1000:1000
WORKDIR /workspace
HEALTHCHECK --interval=5s --timeout=5s CMD test -S /run/clawrden/warden.sock
CMD ["/bin/sh", "/usr/local/bin/example-agent"]
