"""Folders for hosts of their own: certificates, keys, Flower's configuration and start scripts.

One folder goes to the server, one to each client, and ``ca.key`` stays where it is made. Nothing is
overwritten; keys are readable by their owner alone.
"""

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..authority import Authority
from ..errors import BadInput
from ..files import write_new
from ..plan import Machine
from .terms import Federation

FIRST_PORT = 9094
"""Of the clients' own loopback ports: those of one host must differ."""

ENVIRONMENT = """\
# Nothing is sent to anybody but the federation's own hosts, and nothing is installed.
export FLWR_HOME="$PWD/flwr" FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1 OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export FLWR_SUPEREXEC_TASK_POLL_INTERVAL=0.5
"""

START = """\
#!/bin/sh
# The server's SuperLink, which lets those clients in whose keys are in clients/.
cd "$(dirname "$0")" && . ./environment.sh
mkdir -p flwr && cat >flwr/config.toml <<END
[superlink]
default = "onward"
[superlink.onward]
address = "127.0.0.1:{port}"
root-certificates = "$PWD/ca.crt"
END
flower-superlink --ssl-ca-certfile ca.crt --ssl-certfile server.crt --ssl-keyfile server.key \\
  --enable-supernode-auth --disable-runtime-dependency-installation \\
  --host {bind} --port {port} --database state.db &
link=$!
trap 'kill $link' INT TERM
until flwr supernode list onward >register.log 2>&1; do
  kill -0 $link 2>/dev/null || exit 1
  sleep 1
done
for key in clients/*.pub; do
  flwr supernode register "$key" onward >register.log 2>&1 || grep -qi already register.log \\
    || {{ cat register.log >&2; kill $link; exit 1; }}
done
echo "onward: clients may start, and then ./run.sh"
wait $link
"""

RUN = """\
#!/bin/sh
# Start the run, or go on with it, at the clients that are there.
cd "$(dirname "$0")" && . ./environment.sh
# Ctrl-C here ends what is shown and not the run: for that, flwr stop RUN-ID.
flwr run app onward --stream -c "out='$PWD/run'"
if [ -s run.error ]; then
  cat run.error >&2
  exit 2
fi
grep -q '"status": "finished"' run/record.json
"""

CLIENT = """\
#!/bin/sh
# start.sh DATA.npz: client {number}, on its own samples (x_train and y_train), which stay here.
test -f "$1" || {{ echo "start.sh wants an .npz file with x_train and y_train" >&2; exit 2; }}
ONWARD_CLIENT_DATA="$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"; export ONWARD_CLIENT_DATA
cd "$(dirname "$0")" && . ./environment.sh
flower-supernode --root-certificates ca.crt --superlink {address} \\
  --auth-supernode-private-key client.key --port {own_port} --node-config "partition-id={number}" &
node=$!
asked=; trap 'asked=yes; kill $node' INT TERM
wait $node
if [ -n "$asked" ]; then wait $node; exit 0; fi
# By itself it ends only where it was refused, and then sometimes as if all were well.
echo "onward: client {number} has ended. Where it could not connect: is the server up at" >&2
echo "{address}, is ca.crt the server's, is client.key's public half in its clients/? Is this" >&2
echo "host's clock right, fast by no more than 5 seconds and slow by no more than 5 minutes?" >&2
echo "(Flower's commands, flower-supernode first, have to be on PATH.)" >&2
exit 2
"""

APP = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "onward-app"
version = "0.1.0"
description = "A federation of Onward"
license = "Apache-2.0"
dependencies = []
[tool.hatch.build.targets.wheel]
packages = ["onward_app"]
[tool.flwr.app]
publisher = "onward"
[tool.flwr.app.components]
serverapp = "onward_app.apps:server"
clientapp = "onward_app.apps:client"
[tool.flwr.app.config]
"""

MODULE = '''\
"""What Flower starts; Onward itself is installed on every host."""

from onward.federated.app import client, server

__all__ = ["client", "server"]
'''


def write(
    folder: Path,
    *,
    recipe: str,
    settings: Any,
    terms: Federation,
    seed: int,
    machine: Machine,
    data_path: str | None,
    address: str,
) -> list[Path]:
    """Write ``folder``/server and ``folder``/client-0, ...; returns these. Raises BadInput.

    ``address`` is the server's HOST:PORT, as clients reach it; ``data_path`` is where the server's
    own test samples lie on its host.
    """
    host, port = _address(address)
    if terms.partition != "iid" or terms.files:
        raise BadInput(
            "on hosts of their own clients have the samples they have: leave partition and files "
            "out"
        )
    if data_path is not None and not PurePosixPath(data_path).is_absolute():
        raise BadInput(
            f"data is a path on the server's host, from its root on, and is {data_path!r}"
        )
    if ":" in recipe:
        raise BadInput(
            f"clients run no recipes but Onward's, and {recipe} is one of your own: try it with "
            "`onward federate` in one process"
        )
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder} is not empty, and nothing is overwritten: take another folder")
    own = json.dumps(dataclasses.asdict(settings))
    config = {
        "recipe": recipe,
        "settings": own,
        "federation": json.dumps(dataclasses.asdict(terms)),
        "seed": seed,
        "threads": machine.threads or 1,
        "precision": machine.precision,
        "fast": machine.fast,
        "data": data_path or "",
        "out": "",  # known where the server's folder lies: run.sh says it
    }
    ca = Authority("onward federation")
    names = list(dict.fromkeys([host, "localhost", "127.0.0.1"]))
    server, clients = folder / "server", range(terms.clients)
    files: dict[Path, bytes] = {
        folder / "ca.key": ca.key,
        server / "ca.crt": ca.certificate,
        server / "environment.sh": ENVIRONMENT.encode(),
        server / "start.sh": START.format(bind=_bind(host), port=port).encode(),
        server / "run.sh": RUN.encode(),
        server / "app" / "pyproject.toml": (APP + _toml(config)).encode(),
        server / "app" / "onward_app" / "__init__.py": b"",
        server / "app" / "onward_app" / "apps.py": MODULE.encode(),
    }
    certificate, key = ca.issue("onward server", hosts=names, uses=["server"])
    files |= {server / "server.crt": certificate, server / "server.key": key}
    for number in clients:
        there = folder / f"client-{number}"
        private, public = node_key()
        start = CLIENT.format(number=number, address=address, own_port=FIRST_PORT + number)
        files |= {
            there / "ca.crt": ca.certificate,
            there / "client.key": private,
            there / "environment.sh": ENVIRONMENT.encode(),
            there / "start.sh": start.encode(),
            server / "clients" / f"client-{number}.pub": public,
        }
    _write(files)
    return [server, *(folder / f"client-{number}" for number in clients)]


def node_key() -> tuple[bytes, bytes]:
    """A client's key and its public half, as Flower's SuperNodes have them (OpenSSH, P-384)."""
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.OpenSSH, s.NoEncryption())
    public = key.public_key().public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH)
    return private, public + b"\n"


def _address(address: str) -> tuple[str, int]:
    match = re.fullmatch(r"([A-Za-z0-9.\-]+):(\d{1,5})", address)
    if match is None or not 0 < int(match[2]) < 65536:
        raise BadInput(f"address should be the server's HOST:PORT, and is {address!r}")
    return match[1], int(match[2])


def _bind(host: str) -> str:
    """What the server listens on: its own loopback, where that is its address; else everything."""
    return "127.0.0.1" if host in ("localhost", "127.0.0.1") else "0.0.0.0"


def _toml(config: Mapping[str, Any]) -> str:
    """Flat settings; a JSON string is a basic string of TOML."""
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in config.items()
    )


def _write(files: Mapping[Path, bytes]) -> None:
    for path, content in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{path.parent} could not be made: {error.strerror}") from error
        write_new(path, content, {".key": 0o600, ".sh": 0o755}.get(path.suffix, 0o644))


def told(folder: Path, places: list[Path], data_path: str | None) -> list[str]:
    """What to do with what was written."""
    server, *clients = places
    lines = [f"{folder}: {len(places)} folders, and ca.key, which stays here"]
    lines += [
        f"  to the server's host:  {server}   (./start.sh, and once clients are there ./run.sh)"
    ]
    lines += [f"  to each client's:      {clients[0]} ...   (./start.sh DATA.npz)"]
    lines += ["Onward with its extra `federated` is wanted on every host."]
    if data_path:
        lines += [f"The server tests on {shlex.quote(data_path)}, where that lies on its host."]
    return lines
