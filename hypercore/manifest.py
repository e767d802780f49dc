"""Manifests: who may sign a core, and how a signature is checked against a tree.

A core's key is the hash of its manifest, so the key commits to the signers. Cores in the older, compatible form have
the public key of their only signer as key and need no manifest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from hypercore import crypto, flat_tree, merkle
from hypercore.encoding import Reader, Writer
from hypercore.errors import DecodeError, InvalidProof, InvalidSignature, LocalProtocolError
from hypercore.merkle import Growth, Node

MAXIMUM_SIGNERS = 256
MAXIMUM_LINKED = 1024
MAXIMUM_USER_DATA_BYTES = 65_536
MAXIMUM_PATCH_NODES = 4096

_ALLOW_PATCH, _PROLOGUE, _LINKED, _USER_DATA = 1, 2, 4, 8
_SIGNER_SIZE = 65
_PROOF_SIZE_MINIMUM = 66


@dataclass(frozen=True, slots=True)
class Signer:
    """One Ed25519 key that may sign, and the namespace it signs in (version 0 only)."""

    public_key: bytes
    namespace: bytes = crypto.NAMESPACE_SIGNER


@dataclass(frozen=True, slots=True)
class Prologue:
    """A tree that the core starts with: its hash and length in blocks. Up to there no signature is needed."""

    hash: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The rules of one core. `quorum` signers of `signers` must sign each head."""

    version: int
    quorum: int
    signers: tuple[Signer, ...]
    allow_patch: bool = False
    prologue: Prologue | None = None
    linked: tuple[bytes, ...] | None = None
    user_data: bytes | None = None

    @classmethod
    def default(cls, public_key: bytes) -> Self:
        """The manifest of a new core with one signer."""
        return cls(version=1, quorum=1, signers=(Signer(public_key),))

    @classmethod
    def create(
        cls,
        signers: Sequence[Signer],
        *,
        quorum: int | None = None,
        allow_patch: bool = False,
        prologue: Prologue | None = None,
        linked: Sequence[bytes] = (),
        user_data: bytes | None = None,
    ) -> Self:
        """A manifest of the lowest version that can hold the fields; the default quorum is more than half."""
        default_quorum = len(signers) // 2 + 1 if signers else 0
        manifest = cls(
            version=2 if linked or user_data else 1,
            quorum=default_quorum if quorum is None else quorum,
            signers=tuple(signers),
            allow_patch=allow_patch,
            prologue=prologue,
            linked=tuple(linked) or None,
            user_data=user_data or None,
        )
        problem = manifest._problem()
        if problem:
            raise LocalProtocolError(problem)
        return manifest

    def _problem(self) -> str | None:
        if self.version > 2:
            return f"manifest version {self.version} is unknown"
        if self.quorum > len(self.signers):
            return f"quorum {self.quorum} of {len(self.signers)} signers can never be reached"
        if self.version < 2 and (self.linked is not None or self.user_data is not None):
            return "linked keys and user data need manifest version 2"
        return None

    def key(self) -> bytes:
        """The core key that commits to this manifest."""
        return crypto.hash_bytes(crypto.NAMESPACE_MANIFEST, self.encode())

    def encode(self) -> bytes:
        """Canonical bytes."""
        out = Writer().uint(self.version)
        if self.version == 0:
            return self._encode_version_0(out)
        flags = _ALLOW_PATCH * self.allow_patch
        flags |= _PROLOGUE * (self.prologue is not None)
        flags |= _LINKED * (self.linked is not None)
        flags |= _USER_DATA * (self.user_data is not None)
        out.uint(flags).uint(0).uint(self.quorum).array(self.signers, _write_signer)
        if self.prologue is not None:
            out.fixed(self.prologue.hash, crypto.HASH_SIZE).uint(self.prologue.length)
        if self.linked is not None:
            out.array(self.linked, lambda writer, key: writer.fixed(key, crypto.KEY_SIZE))
        if self.user_data is not None:
            out.buffer(self.user_data)
        return out.finish()

    def _encode_version_0(self, out: Writer) -> bytes:
        out.uint(0)
        if self.prologue is not None and not self.signers:
            return out.uint(0).fixed(self.prologue.hash, crypto.HASH_SIZE).finish()
        if self.quorum == 1 and len(self.signers) == 1 and not self.allow_patch:
            _write_signer(out.uint(1), self.signers[0])
            return out.finish()
        out.uint(2).uint(_ALLOW_PATCH * self.allow_patch).uint(self.quorum).array(self.signers, _write_signer)
        return out.finish()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The manifest in `data`, whole; raises `DecodeError`, also for bytes that are not canonical."""
        reader = Reader(data)
        manifest = cls.read(reader)
        reader.finish()
        return manifest

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """The manifest at the front of `reader`; raises `DecodeError`, also for bytes that are not canonical."""
        start = reader.position
        version = reader.uint()
        if version > 2:
            raise DecodeError(f"manifest version {version} is unknown")
        manifest = cls._read_version_0(reader) if version == 0 else cls._read_version_1(reader, version)
        problem = manifest._problem()
        if problem:
            raise DecodeError(problem)
        if manifest.encode() != reader.since(start):
            raise DecodeError("manifest is not in its canonical form")
        return manifest

    @classmethod
    def _read_version_0(cls, reader: Reader) -> Self:
        _expect_zero(reader, "hash")
        kind = reader.uint()
        if kind == 0:
            return cls(0, 0, (), prologue=Prologue(reader.fixed(crypto.HASH_SIZE), 0))
        if kind == 1:
            return cls(0, 1, (_read_signer(reader),))
        if kind != 2:
            raise DecodeError(f"manifest type {kind} is unknown")
        flags = reader.uint()
        quorum = reader.uint()
        signers = tuple(reader.array(_read_signer, MAXIMUM_SIGNERS, _SIGNER_SIZE))
        return cls(0, quorum, signers, allow_patch=bool(flags & _ALLOW_PATCH))

    @classmethod
    def _read_version_1(cls, reader: Reader, version: int) -> Self:
        flags = reader.uint()
        _expect_zero(reader, "hash")
        quorum = reader.uint()
        signers = tuple(reader.array(_read_signer, MAXIMUM_SIGNERS, _SIGNER_SIZE))
        prologue = Prologue(reader.fixed(crypto.HASH_SIZE), reader.uint()) if flags & _PROLOGUE else None
        linked = None
        if flags & _LINKED:
            linked = tuple(reader.array(lambda data: data.fixed(crypto.KEY_SIZE), MAXIMUM_LINKED, crypto.KEY_SIZE))
        user_data = reader.buffer(MAXIMUM_USER_DATA_BYTES) if flags & _USER_DATA else None
        return cls(version, quorum, signers, bool(flags & _ALLOW_PATCH), prologue, linked, user_data)


def _write_signer(out: Writer, signer: Signer) -> None:
    out.uint(0).fixed(signer.namespace, crypto.HASH_SIZE).fixed(signer.public_key, crypto.KEY_SIZE)


def _read_signer(reader: Reader) -> Signer:
    _expect_zero(reader, "signature")
    namespace = reader.fixed(crypto.HASH_SIZE)
    return Signer(reader.fixed(crypto.KEY_SIZE), namespace)


def _expect_zero(reader: Reader, what: str) -> None:
    number = reader.uint()
    if number:
        raise DecodeError(f"{what} scheme {number} is unknown")


@dataclass(frozen=True, slots=True)
class PartialSignature:
    """One signer's signature over a head that is `patch` blocks longer than the one it is used for."""

    signer: int
    signature: bytes
    patch: int = 0


@dataclass(frozen=True, slots=True)
class MultiSignature:
    """Signatures of several signers, and the tree nodes needed to grow the head to the longer ones."""

    proofs: tuple[PartialSignature, ...]
    nodes: tuple[Node, ...] = ()

    def encode(self) -> bytes:
        """Canonical bytes, as versions 1 and 2 of the manifest use them."""
        out = Writer().array(
            self.proofs,
            lambda writer, part: writer.uint(part.signer).fixed(part.signature, crypto.SIGNATURE_SIZE).uint(part.patch),
        )
        merkle.write_nodes(out, self.nodes)
        return out.finish()

    @classmethod
    def decode(cls, data: bytes, version: int = 1) -> Self:
        """The container in `data`, whole; `version` is that of the manifest."""
        reader = Reader(data, canonical=True)
        item = _read_partial_version_0 if version == 0 else _read_partial
        proofs = reader.array(item, MAXIMUM_SIGNERS, _PROOF_SIZE_MINIMUM)
        nodes = merkle.read_nodes(reader, MAXIMUM_PATCH_NODES)
        reader.finish()
        return cls(tuple(proofs), nodes)


def _read_partial(reader: Reader) -> PartialSignature:
    return PartialSignature(reader.uint(), reader.fixed(crypto.SIGNATURE_SIZE), reader.uint())


def _read_partial_version_0(reader: Reader) -> PartialSignature:
    flags = reader.uint()
    signer = reader.uint()
    signature = reader.fixed(crypto.SIGNATURE_SIZE)
    if not flags & 1:
        return PartialSignature(signer, signature)
    reader.uint()
    patch = reader.uint()
    reader.array(Reader.uint, MAXIMUM_PATCH_NODES)
    return PartialSignature(signer, signature, patch)


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks and makes signatures of one core. Made by `verifier_for`."""

    key: bytes
    manifest: Manifest
    compat: bool

    def signable(self, tree_hash: bytes, length: int, fork: int, signer: int = 0) -> bytes:
        """The bytes that a signer signs for a head."""
        context = b""
        if not self.compat:
            context = self.manifest.signers[signer].namespace if self.manifest.version == 0 else self.key
        numbers = length.to_bytes(8, "little") + fork.to_bytes(8, "little")
        return crypto.NAMESPACE_TREE + context + tree_hash + numbers

    @property
    def _raw_signature(self) -> bool:
        manifest = self.manifest
        return self.compat or (manifest.version == 0 and len(manifest.signers) == 1 and not manifest.allow_patch)

    def verify(self, roots: Sequence[Node], fork: int, signature: bytes) -> bool:
        """True when `signature` covers the tree with these full roots.

        Nodes, not only their hash, because a signer may have signed a longer tree (`allow_patch`).
        """
        prologue = self.manifest.prologue
        length = merkle.block_length(roots)
        if self._raw_signature:
            return self._verify_one(0, roots, fork, signature)
        if self.manifest.version > 0 and prologue is not None and length <= prologue.length:
            return length == prologue.length and merkle.tree_hash(roots) == prologue.hash
        try:
            container = MultiSignature.decode(signature, self.manifest.version)
        except DecodeError:
            return False
        return self._verify_quorum(roots, fork, container)

    def _verify_quorum(self, roots: Sequence[Node], fork: int, container: MultiSignature) -> bool:
        quorum = self.manifest.quorum
        if quorum == 0 or len(container.proofs) < quorum:
            return False
        seen: set[int] = set()
        nodes = {node.index: node for node in container.nodes}
        for part in container.proofs[:quorum]:
            if part.signer >= len(self.manifest.signers) or part.signer in seen:
                return False
            seen.add(part.signer)
            signed_roots: Sequence[Node] | None = roots
            if part.patch and self.manifest.allow_patch:
                signed_roots = _grow(roots, part.patch, nodes)
            if signed_roots is None or not self._verify_one(part.signer, signed_roots, fork, part.signature):
                return False
        return True

    def _verify_one(self, signer: int, roots: Sequence[Node], fork: int, signature: bytes) -> bool:
        message = self.signable(merkle.tree_hash(roots), merkle.block_length(roots), fork, signer)
        return crypto.verify(message, signature, self.manifest.signers[signer].public_key)

    def sign(self, roots: Sequence[Node], fork: int, key_pair: crypto.KeyPair) -> bytes:
        """The signature of a head by one signer.

        With several signers this is a part for `MultiSignature`, not yet a signature of the core.
        Raises `LocalProtocolError` when the key is not among the signers.
        """
        for number, signer in enumerate(self.manifest.signers):
            if signer.public_key != key_pair.public_key:
                continue
            message = self.signable(merkle.tree_hash(roots), merkle.block_length(roots), fork, number)
            signature = key_pair.sign(message)
            if self._raw_signature or len(self.manifest.signers) > 1:
                return signature
            return MultiSignature((PartialSignature(0, signature),)).encode()
        raise LocalProtocolError("this key pair is not a signer of the core")


def _grow(roots: Sequence[Node], patch: int, nodes: Mapping[int, Node]) -> list[Node] | None:
    growth = Growth.of(roots)
    # The cover of a hostile patch length is at most two nodes per level, so this loop is short whatever `patch` says.
    for index in flat_tree.cover(growth.length, growth.length + patch):
        if index not in nodes:
            return None
        try:
            growth.append_root(nodes[index])
        except InvalidProof:
            return None
    return growth.roots


def verifier_for(key: bytes, manifest: Manifest | None) -> Verifier:
    """The verifier of a core; without a manifest the key itself is taken as the public key.

    Raises `InvalidSignature` when the manifest does not belong to the key.
    """
    if manifest is None:
        return Verifier(key, Manifest(version=0, quorum=1, signers=(Signer(key),)), compat=True)
    if len(manifest.signers) == 1 and manifest.signers[0].public_key == key:
        return Verifier(key, manifest, compat=True)
    if manifest.key() != key:
        raise InvalidSignature("the manifest does not belong to the core key")
    return Verifier(key, manifest, compat=False)
