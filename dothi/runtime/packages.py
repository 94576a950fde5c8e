"""What the private runtime is made of. A change here makes a new runtime folder."""

import hashlib

SUITE = "trixie"  # Debian 13, the first Debian release with TimescaleDB

PROGRAMS = ("postgresql-17", "postgresql-client-17", "postgresql-17-timescaledb", "mosquitto", "tcc")

# Every shared library that the programs load, libc included: nothing of the host is mixed in. That the list is complete
# is asked of the loader after unpacking. Left out: libllvm19, which only just-in-time compilation needs (switched off,
# saves 35 MB of download and 130 MB of disk), and what the packages need only to be installed (perl, debconf, adduser).
LIBRARIES = (
    "libaudit1",
    "libc6",
    "libcap-ng0",
    "libcap2",
    "libcjson1",
    "libcom-err2",
    "libdlt2",
    "libgcc-s1",
    "libgssapi-krb5-2",
    "libicu76",
    "libk5crypto3",
    "libkeyutils1",
    "libkrb5-3",
    "libkrb5support0",
    "libldap2",
    "liblz4-1",
    "liblzma5",
    "libmosquitto1",
    "libpam0g",
    "libpcre2-8-0",
    "libpq5",
    "libreadline8t64",
    "libsasl2-2",
    "libselinux1",
    "libssl3t64",
    "libstdc++6",
    "libsystemd0",
    "libtinfo6",
    "libuuid1",
    "libwebsockets19t64",
    "libwrap0",
    "libxml2",
    "libxslt1.1",
    "libxxhash0",
    "libzstd1",
    "zlib1g",
)

LEFT_OUT = (
    "./usr/share/doc*",
    "./usr/share/man*",
    "./usr/share/locale*",
    "./usr/share/lintian*",
    "./usr/share/bug*",
    "./usr/lib/postgresql/*/lib/bitcode*",
    "./usr/lib/postgresql/*/lib/llvmjit*",
)

# argv[0] stays the wrapper's own path: PostgreSQL finds its share and library folders from it.
WRAPPER = """#!/bin/sh
here=${0%/*}
libraries=$here/@UP@/usr/lib/@TRIPLET@
exec "$libraries/@LOADER@" --library-path "$libraries" --argv0 "$0" "$0.bin" "$@"
"""

LAYOUT = 1  # raise it when unpacking changes in a way that the texts above do not show


def runtime_id(architecture: str) -> str:
    """Name of this runtime: release, architecture and a digest of all that decides its content."""
    recipe = repr((LAYOUT, PROGRAMS, LIBRARIES, LEFT_OUT, WRAPPER))
    return f"{SUITE}-{architecture}-{hashlib.sha256(recipe.encode()).hexdigest()[:8]}"
