"""Objects of a bucket through boto3, over real HTTP; and the server that answers late."""

from __future__ import annotations

import http.server
import socketserver
import sys
import time
from pathlib import Path

from benchmarks.jobs.common import Counts, accelerator, options


def train() -> None:
    import boto3
    import torch
    from torch.utils.data import DataLoader, Dataset

    args = options(port="0")
    port = Path(args.port).read_text() if args.port.startswith("/") else args.port
    torch.set_num_threads(1)

    class Bucket(Dataset):
        """One object a sample; the client is made in each worker."""

        client = None

        def __len__(self) -> int:
            return 1_000_000

        def __getitem__(self, index: int) -> torch.Tensor:
            if self.client is None:
                url = f"http://127.0.0.1:{int(port)}"
                keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
                self.client = boto3.client("s3", endpoint_url=url, **keys)
            data = self.client.get_object(Bucket="data", Key=f"{index % 50}")["Body"].read()
            return torch.frombuffer(bytearray(data[:1024]), dtype=torch.uint8)

    step, counts = accelerator(args.step_ms), Counts(args.log)
    asked = time.monotonic()
    for batch in DataLoader(Bucket(), batch_size=16, num_workers=args.workers):
        waited = time.monotonic() - asked
        step()
        counts.add(len(batch), waited)
        asked = time.monotonic()


def serve(latency_ms: str) -> None:
    """Prints its port. The delay is a number, or a file that holds it and may change."""

    def delay_s() -> float:
        return float(Path(latency_ms).read_text() or 0 if latency_ms.startswith("/") else latency_ms) / 1e3

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(delay_s())
            self.send_response(200)
            self.send_header("Content-Length", "20000")
            self.send_header("ETag", '"0"')
            self.end_headers()
            self.wfile.write(bytes(20000))

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads, request_queue_size = True, 128

        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exc_info()[1], ConnectionError):  # the job was ended
                super().handle_error(request, client_address)  # type: ignore[arg-type]

    server = Server(("127.0.0.1", 0), Answer)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        del sys.argv[1]
        train()
