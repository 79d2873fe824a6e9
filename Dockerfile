# docker build --target api .        the service (serve, work, migrate), which is also the default
# docker build --target supplier .   the sample third party # sample

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends cmake g++ make && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# The packages to build; each has the name of its binary.
ENV SERVICES="api"
# sample: begin
ENV SERVICES="api supplier"
# sample: end

# The manifests and empty sources, so that the dependencies are rebuilt only when a manifest changes.
FROM build AS manifests
COPY . .
RUN find . -name '*.rs' -exec sh -c 'case "$0" in */main.rs | */bin/*.rs | */examples/*.rs | */process.rs) echo "fn main() { }" ;; *) : ;; esac >"$0"' {} \; \
 && find . -type f ! -name '*.rs' ! -name Cargo.toml ! -name Cargo.lock -delete

FROM build AS dependencies
COPY --from=manifests /build .
RUN cargo build --release --locked $(printf -- "-p %s " $SERVICES)

FROM dependencies AS binaries
COPY . .
# Makes the sources newer than the build above, whatever their timestamps in the checkout.
RUN find . -name '*.rs' -not -path './target/*' -exec touch {} + \
 && cargo build --release --locked $(printf -- "-p %s " $SERVICES)
# The binaries and the shared libraries they link; DNS and users come from the base images below.
RUN for program in $SERVICES; do \
      mkdir -p /out/$program && cp target/release/$program /out/$program/ \
      && ldd target/release/$program | grep -o '/[^ ]*' | xargs -I{} cp --parents --dereference {} /out/$program; \
    done

# sample: begin
FROM gcr.io/distroless/static-debian12:nonroot AS supplier
COPY --from=binaries /out/supplier /
ENV SUPPLIER_LISTEN=0.0.0.0:8090 SUPPLIER_MANAGEMENT=0.0.0.0:8091
EXPOSE 8090 8091
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s CMD ["/supplier", "--probe"]
ENTRYPOINT ["/supplier"]
# sample: end

FROM gcr.io/distroless/static-debian12:nonroot AS api
COPY --from=binaries /out/api /
COPY services/api/config /config
# An image that is started without its environment must not accept the development secrets.
ENV CONFIG_DIR=/config APP__SERVICE__ENVIRONMENT=production
# The git revision, for traces and metrics.
ARG REVISION
ENV APP__SERVICE__REVISION=$REVISION
EXPOSE 8080 8081
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["/api", "probe", "readyz"]
ENTRYPOINT ["/api"]
CMD ["serve"]
