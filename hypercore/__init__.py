"""Hypercore 11 in Python: signed append-only logs that anybody can copy and check, and what is built of them.

    import hypercore

    async with hypercore.Log.open(Path("notes")) as log:               # a core in a directory
        log.append([b"first", b"second"])
        print(log.public_id, log.length)

    async with hypercore.Corestore(Path("mine")) as mine, hypercore.Corestore() as theirs:
        async with hypercore.Drive(mine) as drive:                     # a folder of files, in two cores
            await drive.put("/hello.txt", b"hello")
            async with mine.replicate() as serving, theirs.replicate() as reading:
                await reading.connect("127.0.0.1", await serving.listen())
                async with hypercore.Drive(theirs, drive.key) as copy:
                    await copy.update()
                    assert await copy.get("/hello.txt") == b"hello"    # came over TCP, verified

`Log` is one core, `Corestore` many, `Bee` a sorted map and `Drive` a folder inside of them; `open_replication` links to
peers, JavaScript's included. Everything asynchronous is trio.

The modules of this package are pure, without clock, files or sockets; `hypercore.io` has stores, sessions and sockets.
The names of both are here, and each is imported when it is first used.
"""

from importlib import import_module

_NAMES = {
    "hypercore.bee": ("Entry",),
    "hypercore.bee_read": ("Change", "Difference"),
    "hypercore.crypto": ("KeyPair", "parse_key", "z32_encode"),
    "hypercore.drive": ("Blob", "DriveEntry"),
    "hypercore.errors": (
        "BlockNotAvailable", "CoreClosed", "CoreFrozen", "DecodeError", "HeadUnconfirmed", "HypercoreError",
        "InvalidProof", "InvalidRequest", "InvalidSignature", "LocalProtocolError", "ReadOnly", "RemoteProtocolError",
        "SnapshotNotAvailable", "StaleProof", "StoreCorrupt", "StoreError", "StoreExists", "StoreFailed", "StoreFull",
        "StoreLocked", "StoreMissing",
    ),
    "hypercore.manifest": ("Manifest", "Signer"),
    "hypercore.proof": ("Proof", "ProofRequest", "SignedHead"),
    "hypercore.io.bee": ("Bee", "BeeView"),
    "hypercore.io.blobs": ("Blobs",),
    "hypercore.io.check": ("CheckReport", "check_core"),
    "hypercore.io.core": ("Core",),
    "hypercore.io.core_state": ("CoreInfo",),
    "hypercore.io.corestore": ("Corestore", "CoreNamespace", "StoredCore"),
    "hypercore.io.download": ("Download", "DownloadCancelled"),
    "hypercore.io.drive": ("Drive", "DriveView", "NoSuchFile"),
    "hypercore.io.drive_iterators": ("DriveChange",),
    "hypercore.io.drive_mirror": ("MirrorReport", "mirror_in", "mirror_out"),
    "hypercore.io.events": (
        "Appended", "BlockSource", "Cleared", "Closed", "Conflicted", "CoreEvent", "Downloaded", "NotStored",
        "Signed", "Truncated",
    ),
    "hypercore.io.files": ("DiskDirectory", "MemoryDirectory"),
    "hypercore.io.listening": ("ListenFailed",),
    "hypercore.io.log": ("Log", "LogSnapshot"),
    "hypercore.io.replication": ("ConnectFailed", "Replication", "ReplicationTimeout", "open_replication"),
    "hypercore.io.session": ("Session",),
    "hypercore.io.snapshot": ("Snapshot",),
    "hypercore.io.streams": ("byte_stream", "core_stream"),
}  # fmt: skip
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'hypercore' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
