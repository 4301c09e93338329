"""The plain design: Flask, and one read of Firestore per request.

`gunicorn benchmarks.baselines.flask_reads:app`
"""

import functools

from flask import Flask, Response, jsonify, request
from google.cloud.firestore_v1 import Client

from benchmarks.baselines.documents import body, client_options, collection, newest

app = Flask(__name__)


@functools.cache
def firestore() -> Client:
    """One for each worker, made after the fork: gRPC does not survive it."""
    return Client(**client_options())


@app.get("/status/<process_id>")
def status(process_id: str) -> tuple[Response, int]:
    """One document read."""
    document = collection(firestore()).document(process_id).get()
    if not document.exists:
        return jsonify(status="error", message=f"Process with ID {process_id} not found"), 404
    return jsonify(body(document)), 200


@app.get("/status")
def processes() -> Response:
    """As many document reads as rows."""
    query = newest(firestore(), int(request.args.get("limit", 10)), request.args.get("status"))
    rows = [body(document) for document in query.stream()]
    return jsonify(processes=rows, count=len(rows))
