"""Unpacks Debian's arm64 packages into a folder, without root rights.

A private apt configuration fetches them, so that neither root rights nor a foreign dpkg
architecture is needed; nothing is installed, and no script of a package runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from compile.support.errors import TargetError
from compile.support.run_tool import run_tool

#: Of :func:`unpack_packages`, as they are told to ``on_step``.

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def unpack_packages(
    root: Path,
    work: Path,
    packages: Sequence[str],
    failure: str,
    sources: Path | None = None,
    with_dependencies: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
) -> None:
    """Fetches ``packages`` and unpacks them into ``root``.

    Args:
        root: Where their files go.
        work: A folder for the fetched packages; it may be deleted afterwards.
        packages: Names, as ``apt-get`` takes them.
        failure: What is said where they cannot be fetched.
        sources: A sources.list to use instead of the machine's own.
        with_dependencies: Also whatever they depend on; else they alone.
        on_step: Called with the name of each step as it begins.

    Raises:
        TargetError: No apt, no network, a package that cannot be had.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise TargetError(f"{tool} is not on PATH: this can only be made on Debian or Ubuntu")
    archives = work / "cache/archives"
    for folder in (work / "state/lists/partial", archives / "partial", work / "parts"):
        folder.mkdir(parents=True)
    (work / "state/status").touch()
    config = [
        'APT::Architecture "arm64";',
        'APT::Architectures { "arm64"; };',
        f'Dir::State "{work}/state";',
        f'Dir::State::status "{work}/state/status";',
        f'Dir::Cache "{work}/cache";',
        'Acquire::Languages "none";',
        'Acquire::Retries "3";',
        # apt-file's lists, where it is installed: larger than all that is fetched.
        'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";',
        # A mirror that lags may serve lists that have expired; nothing of them is installed here.
        'Acquire::Check-Valid-Until "false";',
        # Without it apt drops to the user _apt, which cannot write into our folder.
        'APT::Sandbox::User "";',
        # The one lock that is not in our folder is that of a dpkg which nothing here asks.
        'Debug::NoLocking "true";',
        # Some images delete what they have installed from; it has not been unpacked yet.
        'APT::Keep-Downloaded-Packages "true";',
    ]
    if sources is not None:
        if not sources.is_file():
            raise TargetError(f"no such sources.list: {sources}")
        config += [
            f'Dir::Etc::sourcelist "{sources.absolute()}";',
            f'Dir::Etc::sourceparts "{work}/parts";',
        ]
    (work / "apt.conf").write_text("\n".join(config) + "\n")
    apt_env = {**os.environ, "APT_CONFIG": str(work / "apt.conf"), "LC_ALL": "C"}
    on_step("package lists")
    run_tool(["apt-get", "-q", "update"], "apt's arm64 package lists cannot be fetched", apt_env)
    on_step("Debian packages")
    if with_dependencies:
        command = ["apt-get", "-q", "-y", "--no-install-recommends", "--download-only", "install"]
    else:
        command = ["apt-get", "-q", "download"]
    run_tool([*command, *packages], failure, apt_env, cwd=archives)
    for package in sorted(archives.glob("*.deb")):
        run_tool(["dpkg-deb", "-x", str(package), str(root)], f"{package.name} cannot be unpacked")
    if not (root / "lib").exists():
        # Newer releases ship everything below usr and leave this link to another package.
        (root / "lib").symlink_to("usr/lib")


def delete_unneeded(root: Path, patterns: Sequence[str]) -> None:
    """Deletes what matches one of the glob ``patterns`` below ``root``."""
    for pattern in patterns:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def sources_of_suites(suites: Sequence[str], path: Path) -> Path:
    """Writes a sources.list of ``suites`` from the archive that this machine's own packages come
    from.

    Raises:
        TargetError: The machine is no Debian.
    """
    fields = ["$(SITE)", "$(LABEL)", "$(CODENAME)"]
    command = ["apt-get", "indextargets", "--format", " ".join(fields), "Created-By: Packages"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        found = ""
    sites = [line.split()[0] for line in found.splitlines() if line.split()[1:2] == ["Debian"]]
    if not sites or not _KEYRING.is_file():
        raise TargetError(
            "this machine's packages do not come from Debian's archive: name a sources.list of "
            f"{' and '.join(suites)} by --sources"
        )
    path.write_text("".join(f"deb [signed-by={_KEYRING}] {sites[0]} {s} main\n" for s in suites))
    return path
