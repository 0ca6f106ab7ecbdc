"""An S3 server on loopback, and what tells TensorFlow where it is."""

from __future__ import annotations

import contextlib
import importlib.util
import logging

import tensorflow as tf

BUCKET = "bucket"


def reason_against():
    """Returns why TensorFlow cannot read s3:// here, or ""."""
    if importlib.util.find_spec("moto") is None:
        return "moto is not installed"
    if importlib.util.find_spec("tensorflow_io") is None:
        return f"no tensorflow-io for TensorFlow {tf.__version__}"
    return ""


class S3:
    """A server with an empty bucket, inside of the context.

    Attributes:
      url: URL of the bucket.
      environment: What TensorFlow's file system reads.
    """

    url = f"s3://{BUCKET}"

    def __enter__(self):
        # They take a second to import.
        import boto3
        from moto.server import ThreadedMotoServer

        # One line for each request, otherwise.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        with contextlib.ExitStack() as stack:
            server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
            server.start()
            stack.callback(server.stop)
            host, port = server.get_host_and_port()
            endpoint = f"http://{host}:{port}"
            self.environment = {
                "AWS_ACCESS_KEY_ID": "tests",
                "AWS_SECRET_ACCESS_KEY": "tests",
                "AWS_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "S3_ENDPOINT": endpoint,
                "S3_USE_HTTPS": "0",
                "S3_VERIFY_SSL": "0",
            }
            self._client = boto3.client(
                "s3",
                endpoint_url=endpoint,
                region_name="us-east-1",
                aws_access_key_id="tests",
                aws_secret_access_key="tests",
            )
            stack.callback(self._client.close)
            self._client.create_bucket(Bucket=BUCKET)
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *exc_info):
        self._exit.close()

    def put(self, key, content):
        """Writes an object; returns its URL."""
        self._client.put_object(Bucket=BUCKET, Key=key, Body=content)
        return f"{self.url}/{key}"

    def keys(self, prefix=""):
        """Returns the keys of the objects."""
        listed = self._client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", ())]
