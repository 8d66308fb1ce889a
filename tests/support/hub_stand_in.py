#!/usr/bin/env python3
"""A small stand-in for the Hugging Face hub on the loopback interface.

    hub_stand_in.py FOLDER PORT_FILE LOG

Serves FOLDER/OWNER/NAME/FILE as OWNER/NAME/resolve/main/FILE. *.safetensors answer as large files do: a redirect to
another address with x-linked-etag and x-linked-size. Behaviour that depends on a repository's name:
    */gated    401 without the token "secret"
    */moved    a redirect to */plain
    */broken   each answer to a GET of a large file ends after 1,000 bytes
    */lying    a sha256 that is not the file's
    */noranges ranges are not understood
Every request is a line of LOG: method, path, Range.
"""

import hashlib
import http.server
import os
import sys

root, port_file, log = sys.argv[1:]


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers=(), body=b"", cut=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
            if cut is not None and cut < len(body):
                self.close_connection = True

    def serve(self):
        with open(log, "a") as f:
            print(self.command, self.path, self.headers.get("Range", "-"), file=f)
        store = self.path.startswith("/store/")
        parts = self.path.removeprefix("/store").strip("/").split("/")
        if len(parts) != 5 or parts[2] != "resolve":
            return self.answer(404)
        owner, name, _, revision, file = parts
        if store and self.command == "HEAD":
            return self.answer(403)
        if not store and name == "gated" and self.headers.get("Authorization") != "Bearer secret":
            return self.answer(401)
        if name == "moved":
            return self.answer(307, [("Location", f"/{owner}/plain/resolve/{revision}/{file}")])
        path = os.path.join(root, owner, name, file)
        if revision != "main" or not os.path.isfile(path):
            return self.answer(404)
        with open(path, "rb") as f:
            body = f.read()
        if file.endswith(".safetensors") and not store:
            digest = hashlib.sha256(b"lie" if name == "lying" else body).hexdigest()
            here = f"http://{self.headers['Host']}"
            return self.answer(302, [("Location", f"{here}/store{self.path}"), ("X-Linked-Etag", f'"{digest}"'),
                                     ("X-Linked-Size", str(len(body)))])
        cut = 1000 if store and name == "broken" else None
        wanted = self.headers.get("Range")
        if wanted and name != "noranges":
            first = int(wanted.removeprefix("bytes=").split("-")[0])
            if first >= len(body):
                return self.answer(416)
            return self.answer(206, [("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")], body[first:], cut)
        self.answer(200, [("ETag", '"0123"')], body, cut)

    do_GET = do_HEAD = serve


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
with open(port_file + ".new", "w") as f:
    print(server.server_address[1], file=f)
os.rename(port_file + ".new", port_file)
server.serve_forever()
