# The bridge in an empty image: one static binary, its certificates, no user of the host.
# Builds for linux/amd64, arm64, arm/v7 and arm/v6 without emulation.
ARG GO_VERSION=1.26
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
WORKDIR /src
# Where Go gets modules from, if not from its usual place: --build-arg GOPROXY=…
ARG GOPROXY
ARG GOSUMDB
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS=linux
ARG TARGETARCH
ARG TARGETVARIANT
ARG VERSION=container
# TARGETVARIANT is v6 or v7 on 32-bit ARM and empty elsewhere.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} GOARM=${TARGETVARIANT#v} \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /dlt645-mqtt .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /dlt645-mqtt /dlt645-mqtt
# Nobody in particular. For a serial port add the group that owns it, see compose.yaml.
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["/dlt645-mqtt", "healthcheck"]
ENTRYPOINT ["/dlt645-mqtt"]
