"""Tiny models, wheels made by hand, and a local server that speaks the hub's paths."""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from kataribe.files.gguf_writer import write_gguf
from kataribe.files.safetensors import save_safetensors

CONFIG = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 96,
    "max_position_embeddings": 256, "tie_word_embeddings": True,
}  # fmt: skip


def weights(scale: float = 1.0) -> dict[str, np.ndarray]:
    def ones(*shape: int) -> np.ndarray:
        return np.full(shape, scale, dtype=np.float32)

    prefix = "model.layers.0."
    return {
        "model.embed_tokens.weight": ones(96, 64),
        f"{prefix}self_attn.q_proj.weight": ones(64, 64),
        f"{prefix}self_attn.k_proj.weight": ones(32, 64),
        f"{prefix}mlp.gate_proj.weight": ones(128, 64),
        f"{prefix}input_layernorm.weight": ones(64),
        "model.norm.weight": ones(64),
    }


def make_gguf(path: Path, name: str = "tiny", family: str = "llama") -> Path:
    metadata = {
        "general.architecture": family, "general.name": name, f"{family}.block_count": 1,
        f"{family}.embedding_length": 64, f"{family}.feed_forward_length": 128,
        f"{family}.attention.head_count": 4, f"{family}.attention.head_count_kv": 2,
        f"{family}.context_length": 256,
    }  # fmt: skip
    tensors = {
        "token_embd.weight": np.zeros((96, 64), np.float32),
        "blk.0.attn_q.weight": np.zeros((64, 64), np.float16),
        "output_norm.weight": np.ones(64, np.float32),
    }
    write_gguf(path, metadata, tensors)
    return path


def make_folder(folder: Path, config: dict | None = None, *, shards: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config or CONFIG))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    tensors = weights()
    if shards == 1:
        save_safetensors(folder / "model.safetensors", tensors)
        return folder
    table = {}
    for number in range(shards):
        name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = {key: tensors[key] for key in list(tensors)[number::shards]}
        save_safetensors(folder / name, part)
        table |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    return folder


def make_wheel(folder: Path, name: str, members: dict[str, bytes], version: str = "1.0") -> Path:
    """A wheel whose package writes a file when it is imported, which nothing here may do."""
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    trap = f"open({str(folder / 'EXECUTED')!r}, 'w').close()\n".encode()
    entries = {
        f"{module}/__init__.py": trap,
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in entries.items():
            archive.writestr(member, content)
    return path


REVISIONS = (["revision", "main"], ["revision", "v2"])


@dataclass
class FakeHub:
    """What the server holds and how it misbehaves; `log` keeps (path, Range, Authorization)."""

    address: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commit: str = "c0ffee" + "0" * 34
    licence: str | None = "apache-2.0"
    token: str | None = None
    cut_after: list[int] = field(default_factory=list)
    ranges: bool = True
    busy: int = 0
    spoil: Callable[[str, bytes], bytes] | None = None
    raw_answer: bytes | None = None
    elsewhere: str = ""
    circle: bool = False
    log: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def api(self, repo: str) -> bytes:
        if self.raw_answer is not None:
            return self.raw_answer
        siblings = []
        for name, content in self.files[repo].items():
            entry: dict = {"rfilename": name, "size": len(content)}
            entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            if name.endswith((".safetensors", ".gguf", ".bin")):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        card = {"license": self.licence} if self.licence else {}
        told = {"id": repo, "sha": self.commit, "siblings": siblings, "cardData": card}
        return json.dumps(told).encode()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            return

        def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            path = unquote(url.path)
            authorization = self.headers.get("Authorization")
            hub.log.append((path, self.headers.get("Range"), authorization))
            parts = path.strip("/").split("/")
            if hub.busy:
                hub.busy -= 1
                self.reply(503)
            elif parts[0] == "cdn":
                self.send_file(hub.files["/".join(parts[1:3])]["/".join(parts[3:])], parts[-1])
            elif hub.token and authorization != f"Bearer {hub.token}":
                self.reply(401)
            elif parts[:2] == ["api", "models"]:
                repo = "/".join(parts[2:4])
                known = repo in hub.files and parts[4:] in (
                    ["revision", "main"],
                    ["revision", "v2"],
                )
                assert parse_qs(url.query)["blobs"] == ["true"]
                self.reply(200, hub.api(repo)) if known else self.reply(404)
            else:
                repo, kind, commit = "/".join(parts[:2]), parts[2], parts[3]
                name = "/".join(parts[4:])
                if kind != "resolve" or commit != hub.commit or name not in hub.files[repo]:
                    self.reply(404)
                elif hub.circle:
                    self.reply(302, Location=self.path)
                else:
                    self.reply(302, Location=f"{hub.elsewhere}/cdn/{repo}/{name}")

        def send_file(self, content: bytes, name: str) -> None:
            whole = len(content)
            if hub.spoil is not None:
                content = hub.spoil(name, content)
            start, status = 0, 200
            if hub.ranges and (told := self.headers.get("Range")):
                start, status = int(told.removeprefix("bytes=").rstrip("-")), 206
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            rest = content[start:]
            if hub.cut_after and len(rest) > 1000:
                rest = rest[: hub.cut_after.pop(0)]
                self.close_connection = True
            self.wfile.write(rest)

    return Handler


def serve(hub: FakeHub) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
    return server
