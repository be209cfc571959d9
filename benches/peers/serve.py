"""A FastAPI server over sentence-transformers, for benches/serve.rs.

Takes the folder of a model; answers POST /v1/embed {"input": [text, ...]} with {"vectors": [...]}, and POST /v1/score {"query": text,
"items": [text, ...]} with {"scores": [...]}. Prints `listening PORT`. The handlers are plain functions, so that FastAPI runs them on
its pool of threads, as its documentation advises for work that blocks.
"""

import socket
import sys

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1], device="cuda" if torch.cuda.is_available() else "cpu")
app = FastAPI()


class EmbedRequest(BaseModel):
    input: list[str]


class ScoreRequest(BaseModel):
    query: str
    items: list[str]


@app.post("/v1/embed")
def embed(request: EmbedRequest):
    return {"vectors": model.encode(request.input, normalize_embeddings=True).tolist()}


@app.post("/v1/score")
def score(request: ScoreRequest):
    vectors = model.encode([request.query, *request.items], normalize_embeddings=True)
    return {"scores": (vectors[1:] @ vectors[0]).tolist()}


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
print("listening", listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
