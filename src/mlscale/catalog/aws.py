"""Asks AWS, through boto3: the only file that imports it, and the only one of mlscale that uses a network.

Endpoints, credentials and proxies are boto3's own settings (AWS_PROFILE, AWS_ENDPOINT_URL_EC2 ...). Four questions are
asked, all of them read-only; nothing else is sent.
"""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from mlscale.errors import MlscaleError, UsageProblem

ACTIONS = (
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeSpotPriceHistory",
    "pricing:GetProducts",
)
PRICE_LIST_REGION = "us-east-1"  # the Price List API answers for all regions, from a few
_FILTERS = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}
_TYPES_A_QUESTION = 50
_CONNECT_S, _ANSWER_S, _ATTEMPTS = 5, 60, 4
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_DENIED = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "UnauthorizedAccess"}
_UNKNOWN = {
    "AuthFailure",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "OptInRequired",
    "SubscriptionRequiredException",
}
_THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "TooManyRequestsException",
}
_SIGN_IN = "Set AWS_PROFILE, or run `aws configure` or `aws sso login`"
_MAY = f"They need {', '.join(ACTIONS[:-1])} and {ACTIONS[-1]}"


class AwsProblem(MlscaleError):
    """AWS could not be asked, or gave no answer. One line: which question, why, what to do. Exit 2."""


class Garbled(AwsProblem):
    """An answer that cannot be read, as when the connection ends in the middle. boto3 does not ask again; we may."""


def session() -> Any:
    """boto3's session with its credentials. Raises AwsProblem where there are none: before any question."""
    with explained("credentials"):
        import boto3

        found = boto3.session.Session()
        if found.get_credentials() is None:
            raise AwsProblem(f"no AWS credentials were found. {_SIGN_IN}. {_MAY}.")
        return found


def check_regions(asked: Sequence[str], session: Any) -> None:
    """Raises UsageProblem for a region that does not exist, with the nearest one that does."""
    known = {name for part in session.get_available_partitions() for name in session.get_available_regions("ec2", part)}
    for region in asked:
        if region not in known:
            near = difflib.get_close_matches(region, sorted(known), 2)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise UsageProblem(f"--region {region}: no such AWS region.{hint}")


def instance_types(session: Any, region: str, families: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """DescribeInstanceTypes, page by page. No `families`: all."""
    return _pages(session, "ec2", region, "describe_instance_types", "InstanceTypes", _family_filter(families))


def offered(session: Any, region: str) -> Iterator[list[dict[str, Any]]]:
    """DescribeInstanceTypeOfferings of the region, page by page: all of them, for it does not promise wildcards."""
    more = {"LocationType": "region"}
    return _pages(session, "ec2", region, "describe_instance_type_offerings", "InstanceTypeOfferings", more)


def spot_prices(session: Any, region: str, types: Sequence[str], now: datetime) -> Iterator[list[dict[str, Any]]]:
    """DescribeSpotPriceHistory as of now, page by page: one price a type and zone."""
    for first in range(0, len(types), _TYPES_A_QUESTION):
        more = {
            "InstanceTypes": list(types[first : first + _TYPES_A_QUESTION]),
            "ProductDescriptions": ["Linux/UNIX"],
            "StartTime": now,  # the price then in force comes too
        }
        yield from _pages(session, "ec2", region, "describe_spot_price_history", "SpotPriceHistory", more)


def products(session: Any, region: str) -> Iterator[list[dict[str, Any]]]:
    """GetProducts: the Price List's Linux instances of a region, page by page, each a document of its own."""
    filters = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in _FILTERS.items()]
    filters.append({"Type": "TERM_MATCH", "Field": "regionCode", "Value": region})
    more = {"ServiceCode": "AmazonEC2", "FormatVersion": "aws_v1", "Filters": filters}
    for page in _pages(session, "pricing", PRICE_LIST_REGION, "get_products", "PriceList", more, about=region):
        with explained("pricing:GetProducts", region):
            yield [json.loads(text) for text in page]


def _family_filter(families: Sequence[str]) -> dict[str, Any]:
    return {"Filters": [{"Name": "instance-type", "Values": [f"{f}.*" for f in families]}]} if families else {}


def _pages(
    session: Any, service: str, region: str, call: str, key: str, more: dict[str, Any], about: str | None = None
) -> Iterator[list[Any]]:
    action = f"{service}:{''.join(word.capitalize() for word in call.split('_'))}"
    with explained(action, about or region):
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            connect_timeout=_CONNECT_S,
            read_timeout=_ANSWER_S,
        )
        pages = iter(session.client(service, region_name=region, config=config).get_paginator(call).paginate(**more))
    while True:
        with explained(action, about or region):
            page = next(pages, None)
            if page is None:
                return
            found = list(page[key])
        yield found


@contextlib.contextmanager
def explained(action: str, region: str | None = None) -> Iterator[None]:
    """Turns what boto3 raises into AwsProblem: which question, why, and the remedy."""
    asked = f"{action} in {region}" if region else action
    try:
        from botocore import exceptions as of
        from botocore.parsers import ResponseParserError
    except ImportError as error:
        raise AwsProblem(f"boto3 cannot be imported ({error}). Install it: `pip install boto3`.") from None
    try:
        yield
    except (of.NoCredentialsError, of.PartialCredentialsError) as error:
        raise AwsProblem(f"no AWS credentials were found ({_short(error)}). {_SIGN_IN}. {_MAY}.") from None
    except (of.ProfileNotFound, of.ConfigParseError, of.InvalidConfigError) as error:
        raise AwsProblem(f"the AWS configuration is not usable: {_short(error)}. {_SIGN_IN}.") from None
    except (of.CredentialRetrievalError, of.SSOError, of.TokenRetrievalError, of.RefreshWithMFAUnsupportedError) as e:
        raise AwsProblem(f"the AWS credentials cannot be loaded: {_short(e)}. {_SIGN_IN}.") from None
    except of.ClientError as error:
        raise AwsProblem(_refusal(asked, action, error.response)) from None
    except (of.ProxyConnectionError, of.SSLError) as error:
        raise AwsProblem(f"{asked}: no way to AWS ({_short(error)}). Check HTTPS_PROXY and AWS_CA_BUNDLE.") from None
    except (of.HTTPClientError, of.ConnectionError) as error:  # refused, timed out, cut off, no such host
        raise AwsProblem(
            f"{asked}: no answer from the network ({_short(error)}). Check the network, its proxy (HTTPS_PROXY) and "
            f"AWS_ENDPOINT_URL, then run this again."
        ) from None
    except (ResponseParserError, of.PaginationError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise Garbled(
            f"{asked}: the answer is cut off, or not what AWS's API says ({type(error).__name__}: {_short(error)}). "
            f"Check AWS_ENDPOINT_URL, and whether a proxy answers in AWS's place."
        ) from None
    except OSError as error:  # AWS_CA_BUNDLE names no file
        raise AwsProblem(f"{asked}: {_short(error)}. Check AWS_CA_BUNDLE and the files in ~/.aws.") from None
    except of.BotoCoreError as error:
        raise AwsProblem(f"{asked}: boto3 gave up ({_short(error)}). {_SIGN_IN}, then run this again.") from None


def _refusal(asked: str, action: str, response: dict[str, Any]) -> str:
    """Why AWS refused, by its error code."""
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    said = _short(response.get("Error", {}).get("Message", ""))
    if code in _EXPIRED:
        return f"{asked}: the AWS credentials have expired ({code}). {_SIGN_IN}, then run this again."
    if code in _DENIED:
        return f"{asked}: not permitted ({code}). Allow {action} in an IAM policy. {_MAY}."
    if code in _UNKNOWN:
        return (
            f"{asked}: AWS does not accept these credentials there ({code}). {_SIGN_IN}; a region that is off by "
            f"default must be switched on in the account."
        )
    if code in _THROTTLED:
        return f"{asked}: AWS asks to slow down ({code}), {_ATTEMPTS} times in a row. Run this again in a minute."
    if status >= 500:
        return f"{asked}: AWS has a fault ({code or status}), {_ATTEMPTS} times in a row. Run this again in a minute."
    return f"{asked}: AWS refused ({code or status}: {said})."


def _short(error: object) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200]
