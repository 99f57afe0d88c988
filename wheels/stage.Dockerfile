
# The end of Dockerfile.multiarch as wheels/make.sh builds it: one wheel, by its platform tag, or the source distribution
# (sdist). Crates and what was compiled of them are kept between builds, each target in a folder of its own; nothing of
# them reaches the wheel (wheels/verify.py looks).
FROM toolchain AS wheel-built
ARG WHEEL
WORKDIR /source
COPY Cargo.toml Cargo.lock pyproject.toml README.md LICENSE ./
COPY native native
COPY wheels/build.sh wheels/finish.py wheels/source.py wheels/backend.py wheels/
COPY swarmlet swarmlet
RUN --mount=type=cache,id=swarmlet-wheels,target=/cache,sharing=locked \
    CARGO_HOME=/cache/cargo CARGO_TARGET_DIR=/cache/target wheels/build.sh $WHEEL

FROM scratch AS wheel
COPY --from=wheel-built /source/wheels/swarmlet-* /
