"""A small HTTP server that stands where AWS stands: the Price List API in its own JSON shape, and a door to moto's EC2.

moto has no Pricing, and its spot prices are placeholders: on the way through, they can be given a price and a day. Each
question is written down, and can be made to fail.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = 3  # products a page: so that there are several
_PLACEHOLDER = re.compile(
    r"<instanceType>(?P<type>[^<]+)</instanceType>(?P<between>(?:(?!</item>).)*?)<spotPrice>[^<]*</spotPrice>"
    r"(?P<rest>(?:(?!</item>).)*?)<timestamp>[^<]*</timestamp>",
    re.DOTALL,
)


def product(name: str, region: str, usd: str, **attributes: str) -> dict[str, object]:
    """One document of the Price List: an on-demand Linux instance, unless `attributes` say otherwise."""
    sku = f"{abs(hash((name, region, usd, *attributes.items()))):016X}"[:16]
    rate = f"{sku}.JRTCKXETXF.6YS6EN2CT7"
    return {
        "product": {
            "productFamily": "Compute Instance",
            "attributes": {
                "servicecode": "AmazonEC2",
                "instanceType": name,
                "regionCode": region,
                "locationType": "AWS Region",
                "operatingSystem": "Linux",
                "preInstalledSw": "NA",
                "tenancy": "Shared",
                "capacitystatus": "Used",
                "marketoption": "OnDemand",
                "licenseModel": "No License required",
                "operation": "RunInstances",
                "usagetype": f"BoxUsage:{name}",
                **attributes,
            },
            "sku": sku,
        },
        "serviceCode": "AmazonEC2",
        "terms": {
            "OnDemand": {
                f"{sku}.JRTCKXETXF": {
                    "priceDimensions": {
                        rate: {
                            "unit": "Hrs",
                            "endRange": "Inf",
                            "description": f"${usd} per On Demand Linux {name} Instance Hour",
                            "appliesTo": [],
                            "rateCode": rate,
                            "beginRange": "0",
                            "pricePerUnit": {"USD": usd},
                        }
                    },
                    "sku": sku,
                    "effectiveDate": "2026-11-01T00:00:00Z",
                    "offerTermCode": "JRTCKXETXF",
                    "termAttributes": {},
                }
            }
        },
        "version": "20261120180000",
        "publicationDate": "2026-11-20T18:00:00Z",
    }


@dataclass
class Stub:
    """What it answers, and what it was asked: (action, region). `failures` are used up one a question, by action."""

    url: str = ""
    products: list[dict[str, object]] = field(default_factory=list)
    ec2: str = ""  # moto's address
    spot: Mapping[str, tuple[float, datetime]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def count(self, action: str) -> int:
        return sum(each == action for each, _ in self.asked)

    def matching(self, filters: Sequence[Mapping[str, str]]) -> list[dict[str, object]]:
        def matches(document: Mapping[str, object]) -> bool:
            attributes = document["product"]["attributes"]  # type: ignore[index]
            return all(
                each["Type"] == "TERM_MATCH" and attributes.get(each["Field"]) == each["Value"] for each in filters
            )

        return [document for document in self.products if matches(document)]


class _Handler(BaseHTTPRequestHandler):
    stub: Stub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/", self.headers.get("Authorization", ""))
        target = self.headers.get("X-Amz-Target", "")
        if target:
            action, region = (
                target,
                next((f["Value"] for f in json.loads(body)["Filters"] if f["Field"] == "regionCode"), ""),
            )
        else:
            action = re.search(rb"Action=(\w+)", body)[1].decode()  # type: ignore[index]
            region = scope[1] if scope else ""
        self.stub.asked.append((action, region))
        queue = self.stub.failures.get(action, [])
        failure = queue.pop(0) if queue else ""
        if failure:
            self._fail(failure, is_json=bool(target))
        elif target == "AWSPriceListService.GetProducts":
            self._get_products(json.loads(body))
        else:
            self._ec2(body)

    def _get_products(self, question: Mapping[str, object]) -> None:
        assert question["FormatVersion"] == "aws_v1" and question["ServiceCode"] == "AmazonEC2", question
        found = self.stub.matching(question["Filters"])  # type: ignore[arg-type]
        first = int(str(question.get("NextToken", "page:0")).partition(":")[2])
        answer: dict[str, object] = {
            "FormatVersion": "aws_v1",
            "PriceList": [json.dumps(document) for document in found[first : first + PAGE]],
        }
        if first + PAGE < len(found):
            answer["NextToken"] = f"page:{first + PAGE}"
        self._send(200, json.dumps(answer).encode(), "application/x-amz-json-1.1")

    def _ec2(self, body: bytes) -> None:
        kept = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length", "connection")}
        request = urllib.request.Request(self.stub.ec2, body, kept, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        self._send(status, _PLACEHOLDER.sub(self._spot, text).encode(), "text/xml")

    def _spot(self, found: re.Match[str]) -> str:
        if found["type"] not in self.stub.spot:
            return found[0]
        usd, at = self.stub.spot[found["type"]]
        return (
            f"<instanceType>{found['type']}</instanceType>{found['between']}<spotPrice>{usd}</spotPrice>"
            f"{found['rest']}<timestamp>{at.strftime('%Y-%m-%dT%H:%M:%S.000Z')}</timestamp>"
        )

    def _fail(self, how: str, *, is_json: bool) -> None:
        """`how`: "cut" (half an answer, then the connection ends), "garbage", "hang", or "STATUS:CODE"."""
        if how == "cut":
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(b'{"FormatVersion": "aws_v1", "PriceList": [')
            self.close_connection = True
        elif how == "garbage":
            self._send(200, b"<html>Please sign in to the hotel's network</html>", "text/html")
        elif how == "hang":
            self.server.hang.wait(30)  # type: ignore[attr-defined]
            self.close_connection = True
        else:
            status, _, code = how.partition(":")
            if is_json:
                text = json.dumps({"__type": code, "message": "a test says no"})
            else:
                text = (
                    f"<?xml version='1.0'?><Response><Errors><Error><Code>{code}</Code><Message>a test says no</Message>"
                    f"</Error></Errors><RequestID>1</RequestID></Response>"
                )
            self._send(int(status), text.encode(), "application/x-amz-json-1.1" if is_json else "text/xml")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    """Serves on a free port of this machine; `stub.url` is its address."""
    handler = type("Handler", (_Handler,), {"stub": stub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.hang = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.hang.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join()
