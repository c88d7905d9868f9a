# The project with everything it needs; without arguments it makes the book of the default collection.
#   docker build -t twostage .
#   docker run --rm -v "$PWD/runs:/home/reader/twostage/runs" twostage
#   docker run --rm -it -v "$PWD/mine:/home/reader/mine" twostage twostage validate /home/reader/mine
FROM python:3.12-slim

RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home reader
USER reader
WORKDIR /home/reader/twostage
# The packages first: they change less often than the project does.
COPY --chown=reader requirements.lock ./
RUN python -m venv .venv && .venv/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.lock
COPY --chown=reader . .
RUN .venv/bin/python -m pip install --no-deps --no-build-isolation -e . && touch .venv/.ready && mkdir -p runs
ENV PATH=/home/reader/twostage/.venv/bin:$PATH
CMD ["make", "book"]
