# The bridge in an empty image: one static binary, its certificates, no user of the host.
# Builds for linux/amd64, arm64, arm/v7 and arm/v6 without emulation.
ARG GO_VERSION=1.26
# Where the image with Go comes from, if not from its usual place: --build-arg GO_IMAGE=registry/library/golang:1.26
ARG GO_IMAGE=golang:${GO_VERSION}
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
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

FROM scratch AS files
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /dlt645-mqtt /dlt645-mqtt
ENTRYPOINT ["/dlt645-mqtt"]

# The app for Home Assistant: --target home-assistant. Its options in /data are root's, and it may ask the Supervisor
# for a broker for a while before it is well.
FROM files AS home-assistant
ARG VERSION=container
LABEL io.hass.type=app io.hass.version=${VERSION}
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 CMD ["/dlt645-mqtt", "healthcheck"]

FROM files AS bridge
# Nobody in particular. For a serial port add the group that owns it, see compose.yaml.
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["/dlt645-mqtt", "healthcheck"]
