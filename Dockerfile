# The service in a container, run by an unprivileged user. requirements/serve.txt pins the extra serve; Dependabot updates the digest
# of the base image.
FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea AS build
WORKDIR /source
RUN python -m venv /venv
COPY requirements/serve.txt requirements/
RUN /venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements/serve.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea
COPY --from=build /venv /venv
RUN useradd --system --uid 10001 --no-create-home visavis && install --directory --owner visavis --mode 700 /data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp
USER 10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=3)"]
ENTRYPOINT ["visavis"]
CMD ["serve", "--host", "0.0.0.0", "--keys", "/data/keys.db", "--gallery", "/data/faces.gallery"]
