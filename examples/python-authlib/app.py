"""A program in Python that signs its user in with Cardea, by Authlib (Debian: python3-authlib, python3-requests).

It prints the address to open, waits for the browser to come back, and says what it was told; then it refreshes, asks about
its token, and takes it back. Settings are in the environment:

    ISSUER         https://id.example.com/realms/staff
    CLIENT_ID      of the application
    CLIENT_SECRET  its secret, or
    CLIENT_KEY     a file with its private key (PEM), where it authenticates by private_key_jwt
    PORT           where the browser comes back to: http://127.0.0.1:PORT/callback; 8765 without
    SCOPE          "openid email profile" without
"""

import json
import os
import secrets
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, JsonWebToken
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url

TIMEOUT = 10
# What the realm signs with; never what a token says of itself.
ALGORITHMS = ["RS256", "ES256", "EdDSA"]


def discover(issuer):
    """What the realm says of itself, if it is the realm that was asked for."""
    answer = requests.get(get_well_known_url(issuer, external=True), timeout=TIMEOUT)
    answer.raise_for_status()
    metadata = OpenIDProviderMetadata(answer.json())
    if metadata["issuer"] != issuer:
        raise ValueError(f"The issuer is {metadata['issuer']}, not {issuer}.")
    return metadata


def session_for(metadata, client_id, redirect_uri=None, scope=None):
    """A client that authenticates by its key where it has one, by its secret elsewhere."""
    key = os.environ.get("CLIENT_KEY")
    method = "private_key_jwt" if key else "client_secret_basic"
    session = OAuth2Session(
        client_id,
        Path(key).read_text() if key else os.environ["CLIENT_SECRET"],
        scope=scope,
        redirect_uri=redirect_uri,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        code_challenge_method="S256",
        default_timeout=TIMEOUT,
    )
    if key:
        session.register_client_auth_method(PrivateKeyJWT(metadata["token_endpoint"]))
    return session


class Keys:
    """The realm's keys; fetched again when a token names one that is not among them, for keys are rotated."""

    def __init__(self, uri):
        self.uri = uri
        self.keys = None

    def find(self, header, _payload):
        for _ in range(2):
            try:
                return (self.keys or self.fetch()).find_by_kid(header["kid"])
            except ValueError:
                self.keys = None
        raise ValueError("The token names a key that the realm does not publish.")

    def fetch(self):
        answer = requests.get(self.uri, timeout=TIMEOUT)
        answer.raise_for_status()
        self.keys = JsonWebKey.import_key_set(answer.json())
        return self.keys


def verified(metadata, keys, token, client_id, nonce=None):
    """The claims of an ID token: signature, issuer, audience, times, nonce and at_hash (OpenID Connect Core 3.1.3.7)."""
    options = {
        "iss": {"essential": True, "value": metadata["issuer"]},
        "aud": {"essential": True, "value": client_id},
    }
    parameters = {"client_id": client_id, "access_token": token["access_token"]}
    if nonce is not None:
        parameters["nonce"] = nonce
    claims = JsonWebToken(ALGORITHMS).decode(
        token["id_token"], keys.find, claims_cls=CodeIDToken, claims_options=options, claims_params=parameters
    )
    claims.validate(leeway=30)
    return claims


def wait_for_browser(port):
    """The path and query that the browser comes back with."""
    arrived = []

    class Arrival(BaseHTTPRequestHandler):
        def do_GET(self):
            arrived.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(b"You may close this window.")

        def log_message(self, *_):
            """The address holds a code: it stands in no log."""

    with HTTPServer(("127.0.0.1", port), Arrival) as server:
        while not arrived or not arrived[-1].startswith("/callback?"):
            server.handle_request()
    return arrived[-1]


def say(what, value):
    print(json.dumps({what: value}), flush=True)


def main():
    issuer, client_id = os.environ["ISSUER"], os.environ["CLIENT_ID"]
    port = int(os.environ.get("PORT", "8765"))
    metadata = discover(issuer)
    keys = Keys(metadata["jwks_uri"])
    base = f"http://127.0.0.1:{port}"
    session = session_for(metadata, client_id, f"{base}/callback", os.environ.get("SCOPE", "openid email profile"))

    verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    url, state = session.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
    say("open", url)
    # Authlib compares `state`; an error of the provider is raised here with its description.
    token = session.fetch_token(
        metadata["token_endpoint"], authorization_response=f"{base}{wait_for_browser(port)}", code_verifier=verifier, state=state
    )
    say("claims", verified(metadata, keys, token, client_id, nonce))
    userinfo = session.get(metadata["userinfo_endpoint"])
    userinfo.raise_for_status()
    say("userinfo", userinfo.json())

    refreshed = session.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"])
    say("refreshed", verified(metadata, keys, refreshed, client_id))
    say("active", introspected(session, metadata, refreshed["access_token"])["active"])
    session.revoke_token(metadata["revocation_endpoint"], token=refreshed["refresh_token"], token_type_hint="refresh_token").raise_for_status()
    say("active", introspected(session, metadata, refreshed["access_token"])["active"])


def introspected(session, metadata, token):
    answer = session.introspect_token(metadata["introspection_endpoint"], token=token, token_type_hint="access_token")
    answer.raise_for_status()
    return answer.json()


def machine():
    """A token of the application's own (client_credentials)."""
    issuer, client_id = os.environ["ISSUER"], os.environ["CLIENT_ID"]
    metadata = discover(issuer)
    token = session_for(metadata, client_id).fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
    claims = JsonWebToken(ALGORITHMS).decode(token["access_token"], Keys(metadata["jwks_uri"]).find)
    claims.validate(leeway=30)
    say("token", claims)


if __name__ == "__main__":
    machine() if sys.argv[1:] == ["machine"] else main()
