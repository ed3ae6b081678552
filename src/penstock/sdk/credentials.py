"""Where a client's keys come from, and with them its endpoint.

The first of these that has keys wins; one that has half of a pair is an error, not a step further:

1. arguments: `access_key` and `secret_key`; or `profile`; or `aws_profile`
2. the environment: PENSTOCK_KINGSOFT_ACCESS_KEY and _SECRET_KEY (and _TOKEN), or another cloud's in the place of
   KINGSOFT, then the vendor's names
3. the profile file, ~/.penstock/config.toml: the profile that PENSTOCK_PROFILE names, else `default`
4. the vendor's own files

A profile named by argument comes before the environment, as whoever names one means it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from penstock.clouds.contract import Credentials
from penstock.errors import ConfigError, NoKeys
from penstock.sdk import profiles
from penstock.sdk.profiles import Keys

# A place to look: what it is called in an error, and how it is read; None when it holds nothing.
Place = tuple[str, Callable[[], Keys | None]]


class Access(Struct, frozen=True):
    """What a client signs with, where it sends to, and which CA it trusts; None: as by default."""

    credentials: Credentials
    endpoint: str | None = None
    ca: str | None = None


class Vendor(Struct, frozen=True, kw_only=True):
    """A cloud's own habits."""

    cloud: str
    access_key: str  # variables of the environment
    secret_key: str
    tokens: tuple[str, ...] = ()
    files: Callable[[Mapping[str, str], Path], Iterator[Place]]


def find(
    vendor: Vendor,
    environ: Mapping[str, str],
    home: Path,
    *,
    access_key: str | None = None,
    secret_key: str | None = None,
    token: str | None = None,
    profile: str | None = None,
    aws_profile: str | None = None,
) -> Access:
    """Return a client's keys, and the endpoint and CA that came with them or stand in the environment.

    Raises:
        NoKeys: there are none; it says where they were looked for.
        ConfigError: there is half of a pair, or a file that cannot be read.
    """
    keys = _given(access_key, secret_key, token)
    places = _places(vendor, environ, home, profile, aws_profile)
    looked: list[str] = []
    while keys is None:
        name, read = next(places, ("", None))
        if read is None:
            raise NoKeys(_nothing_found(vendor, looked))
        looked.append(name)
        keys = read()
    prefix = f"PENSTOCK_{vendor.cloud.upper()}"
    endpoint, ca = environ.get(f"{prefix}_ENDPOINT"), environ.get(f"{prefix}_CA")
    if profile is not None:
        endpoint, ca = keys.endpoint or endpoint, keys.ca or ca
    credentials = Credentials(keys.access_key, keys.secret_key, keys.token)
    return Access(credentials, endpoint or keys.endpoint or None, ca or keys.ca or None)


def _given(access_key: str | None, secret_key: str | None, token: str | None) -> Keys | None:
    if not access_key and not secret_key and not token:
        return None
    return whole("the arguments", Keys(access_key or "", secret_key or "", token or ""))


def whole(where: str, keys: Keys, names: tuple[str, str] = ("access_key", "secret_key")) -> Keys:
    """Return the keys if both are there and can stand in a header; never shows them.

    Raises:
        ConfigError: otherwise.
    """
    for name, value in zip(names, (keys.access_key, keys.secret_key), strict=True):
        if not value:
            raise ConfigError(f"{where}: {name} is missing; it must stand beside the other half of the pair")
    for name, value in (*zip(names, (keys.access_key, keys.secret_key), strict=True), ("token", keys.token)):
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise ConfigError(f"{where}: {name} has a blank, a line end or a letter beyond ASCII in it")
    return keys


def _places(
    vendor: Vendor, environ: Mapping[str, str], home: Path, profile: str | None, aws_profile: str | None
) -> Iterator[Place]:
    path = home / ".penstock" / "config.toml"
    if aws_profile is not None:
        aws = home / ".aws" / "credentials"
        yield f"{aws} [{aws_profile}]", lambda: _named(aws, aws_profile, profiles.read_ini(aws, aws_profile, "aws_"))
        return
    if profile is not None:
        yield f"{path} [{profile}]", lambda: _named(path, profile, profiles.read_toml(path, profile, vendor.cloud))
        return
    prefix = f"PENSTOCK_{vendor.cloud.upper()}"
    yield _environment(environ, f"{prefix}_ACCESS_KEY", f"{prefix}_SECRET_KEY", (f"{prefix}_TOKEN",))
    yield _environment(environ, vendor.access_key, vendor.secret_key, vendor.tokens)
    if wanted := environ.get("PENSTOCK_PROFILE"):
        yield f"{path} [{wanted}]", lambda: _named(path, wanted, profiles.read_toml(path, wanted, vendor.cloud))
    else:
        yield f"{path} [default.{vendor.cloud}]", lambda: profiles.read_toml(path, "default", vendor.cloud)
    yield from vendor.files(environ, home)


def _named(path: Path, name: str, keys: Keys | None) -> Keys:
    if keys is None:
        there = ", ".join(profiles.names_in(path)) or "none at all"
        raise ConfigError(f"{path} has no keys under {name!r}; it has: {there}")
    return whole(str(path), keys)


def _environment(environ: Mapping[str, str], access: str, secret: str, tokens: tuple[str, ...]) -> Place:
    def read() -> Keys | None:
        token = next((environ[name] for name in tokens if environ.get(name)), "")
        keys = Keys(environ.get(access, ""), environ.get(secret, ""), token)
        is_there = keys.access_key or keys.secret_key
        return whole("the environment", keys, (access, secret)) if is_there else None

    return f"the environment ({access}, {secret})", read


def _nothing_found(vendor: Vendor, looked: list[str]) -> str:
    places = "".join(f"\n  - {place}" for place in looked)
    return f"no keys for {vendor.cloud}; give access_key and secret_key, or put them in one of:{places}"


# Kingsoft's own places, in the order of its SDK (ksc-sdk-python 1.3.65), and its PHP SDK's file last.


def _kingsoft_files(environ: Mapping[str, str], home: Path) -> Iterator[Place]:
    named = environ.get("KS_DEFAULT_PROFILE") or environ.get("KS_PROFILE") or "default"
    shared = Path(environ.get("KS_SHARED_CREDENTIALS_FILE") or home / ".ks" / "credentials")
    config = Path(environ.get("KS_CONFIG_FILE") or home / ".ks" / "config")
    section = named if named == "default" else f"profile {named}"
    yield f"{shared} [{named}]", _checked(shared, lambda: profiles.read_ini(shared, named, "ks_"))
    yield f"{config} [{section}]", _checked(config, lambda: profiles.read_ini(config, section, "ks_"))
    for path in _kscore_cfg(environ):
        yield f"{path} [Credentials]", _checked(path, partial(profiles.read_ini, path, "Credentials", "ks_"))
    ksyun = home / ".ksyun" / "config"
    yield str(ksyun), _checked(ksyun, lambda: profiles.read_json(ksyun, "ak", "sk"))


def _kscore_cfg(environ: Mapping[str, str]) -> tuple[Path, ...]:
    if environ.get("KSC_CONFIG"):
        return (Path(environ["KSC_CONFIG"]),)
    return Path("/etc/kscore.cfg"), Path(".kscore.cfg")


def _checked(path: Path, read: Callable[[], Keys | None]) -> Callable[[], Keys | None]:
    def checked() -> Keys | None:
        keys = read()
        return None if keys is None else whole(str(path), keys)

    return checked


KINGSOFT: Final = Vendor(
    cloud="kingsoft",
    access_key="KS_ACCESS_KEY_ID",
    secret_key="KS_SECRET_ACCESS_KEY",  # noqa: S106 - a variable's name
    tokens=("KS_SECURITY_TOKEN", "KS_SESSION_TOKEN"),
    files=_kingsoft_files,
)


# Volcengine's own places, as its SDK has them (volcengine 1.0.229). There they come before what a caller gives; here
# arguments do.


def _volcengine_files(_environ: Mapping[str, str], home: Path) -> Iterator[Place]:
    shared, config = home / ".volc" / "credentials", home / ".volc" / "config"
    yield f"{shared} [default]", _checked(shared, lambda: profiles.read_ini(shared, "default", ""))
    yield str(config), _checked(config, lambda: profiles.read_json(config, "ak", "sk"))


VOLCENGINE: Final = Vendor(
    cloud="volcengine",
    access_key="VOLC_ACCESSKEY",
    secret_key="VOLC_SECRETKEY",  # noqa: S106 - a variable's name
    files=_volcengine_files,
)
