"""LitServe: one API server, one worker, batches. It reads the annotations, which are not to be strings."""

import sys
from typing import Any

import litserve

from benchmarks.peers.model import answer, load


class Reviews(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = load()

    def decode_request(self, request: dict[str, Any]) -> str:
        return str(request["texts"][0])

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        return answer(self.model, texts)

    def encode_response(self, output: Any) -> Any:
        return output


if __name__ == "__main__":
    # Of no batches and of waiting 0, 1 and 10 ms for one, this answers the most reviews a second at 64 clients.
    api = Reviews(max_batch_size=64, batch_timeout=0, api_path="/invocations")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=False)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="warning"
    )
