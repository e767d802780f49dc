"""`datdot key new|show|sign`: key files, in the format of polkadot.js accounts."""

import getpass
import os
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from node.cli.output import Refused, print_result, refusing
from node.keys.derivation import BadSecretUri, is_development_uri, keypair_from_uri, new_phrase
from node.keys.keyfile import BadKeyFile, read_keyfile, write_keyfile
from node.keys.keypair import SCHEMES, Keypair, Scheme
from runtime.crypto import ss58_encode

PASSWORD_VARIABLE = "DATDOT_PASSWORD"

app = typer.Typer(help="Make, show and use key files.", no_args_is_help=True)

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="A key file, or a development URI such as //Alice.")]
SchemeOption = Annotated[str, typer.Option("--scheme", help="sr25519, ed25519 or ecdsa.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def checked_scheme(scheme: str) -> Scheme:
    """The scheme, or Refused with the names of those that exist."""
    for known in SCHEMES:
        if scheme == known:
            return known
    raise Refused(f"--scheme: {scheme!r} is not known; use {' or '.join(SCHEMES)}")


def load_key(key: str, scheme: Scheme = "sr25519") -> Keypair:
    """The key pair of a key file or of a development URI; secrets are refused, arguments are visible to everybody.

    Raises Refused. The password of an encrypted file comes from the terminal or from DATDOT_PASSWORD.
    """
    if is_development_uri(key):
        try:
            return keypair_from_uri(key, scheme)
        except BadSecretUri as error:
            raise Refused(f"the development URI is malformed: {error}") from None
    path = Path(key)
    if not path.exists():
        if " " in key.strip() or key.startswith("0x"):
            raise Refused("a secret never goes on the command line: write a key file with `datdot key new --recover`")
        raise Refused(f"there is no key file {path}; make one with `datdot key new {path}`")
    try:
        return read_keyfile(path, _password(f"Password of {path}: "))
    except BadKeyFile as error:
        raise Refused(str(error)) from None


@app.command()
def new(
    path: Annotated[Path, typer.Argument(help="The key file to write; it must not exist.")],
    scheme: SchemeOption = "sr25519",
    name: Annotated[str, typer.Option(help="A name that wallets show.")] = "",
    recover: Annotated[bool, typer.Option("--recover", help="Read a phrase or URI from standard input.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a new encrypted key file; the phrase that recovers it is printed once."""
    with refusing(BadSecretUri, BadKeyFile):
        phrase = sys.stdin.readline().strip() if recover else new_phrase(secrets.token_bytes(16))
        keypair = keypair_from_uri(phrase, checked_scheme(scheme))
        password = _password("Password for the new key file: ", confirm=True)
        try:
            write_keyfile(path, keypair, password or "", name=name)
        except FileExistsError:
            raise Refused(f"{path} exists already; choose another name") from None
        except OSError as error:
            raise Refused(f"cannot write {path}: {error.strerror}") from None
        shown = {} if recover else {"phrase": phrase}
        print_result({"file": str(path), **_public(keypair), **shown}, as_json)


@app.command()
def show(key: KeyArgument, scheme: SchemeOption = "sr25519", as_json: JsonOption = False) -> None:
    """Show the public key and address of a key."""
    with refusing():
        print_result(_public(load_key(key, checked_scheme(scheme))), as_json)


@app.command()
def sign(
    key: KeyArgument,
    message: Annotated[Path, typer.Option(help="The file to sign; - for standard input.")] = Path("-"),
    scheme: SchemeOption = "sr25519",
    as_json: JsonOption = False,
) -> None:
    """Sign a file's bytes; prints the signature in hexadecimal."""
    with refusing():
        keypair = load_key(key, checked_scheme(scheme))
        try:
            data = sys.stdin.buffer.read() if str(message) == "-" else message.read_bytes()
        except OSError as error:
            raise Refused(f"cannot read {message}: {error.strerror}") from None
        print_result({"signature": "0x" + keypair.sign(data).hex()}, as_json)


def _public(keypair: Keypair) -> dict[str, str]:
    address = ss58_encode(keypair.account_id)
    return {"scheme": keypair.scheme, "public_key": "0x" + keypair.public_key.hex(), "address": address}


def _password(prompt: str, *, confirm: bool = False) -> str | None:
    if PASSWORD_VARIABLE in os.environ:
        return os.environ[PASSWORD_VARIABLE]
    if not sys.stdin.isatty():
        return None
    password = getpass.getpass(prompt)
    if confirm and getpass.getpass("Once more: ") != password:
        raise Refused("the two passwords differ")
    return password
