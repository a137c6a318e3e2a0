"""A private authority and what it vouches for, as a broker and its clients need them."""

from pathlib import Path

import trustme


def issue(folder: Path) -> Path:
    """Write `ca.pem`, certificate and key of a `broker` and a `client`, and those of a `stranger` (`strange.pem`)."""
    ca, strange = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    strange.cert_pem.write_to_path(folder / "strange.pem")
    for name, who in (("broker", ca), ("client", ca), ("stranger", strange)):
        issued = who.issue_cert("127.0.0.1", "localhost", common_name=name)
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
        (folder / f"{name}.pem").write_bytes(chain)
    return folder


def tls_lines(pki: Path, *more: str) -> tuple[str, ...]:
    """Give Mosquitto's lines for TLS; as another user than root it could not read the files."""
    return (
        f"cafile {pki / 'ca.pem'}",
        f"certfile {pki / 'broker.pem'}",
        f"keyfile {pki / 'broker.key'}",
        "user root",
        *more,
    )
