# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of the tests and server certificates under it, by openssl(1)."""
import subprocess


def _openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


def make_authority(folder, name="ca"):
    folder.mkdir(parents=True, exist_ok=True)
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2",
             "-subj", f"/CN=Holdfast test {name}", cwd=folder)
    return folder / f"{name}.crt"


def make_server_certificate(folder, hosts=("localhost", "127.0.0.1"), authority="ca",
                            name="server", days="2"):
    """Files name.crt (with the authority behind it) and name.key in the folder of the authority."""
    alternatives = ",".join(("IP:" if h.replace(".", "").isdigit() else "DNS:") + h for h in hosts)
    (folder / f"{name}.ext").write_text(f"subjectAltName={alternatives}\n")
    _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={hosts[0]}", cwd=folder)
    _openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt",
             "-CAkey", f"{authority}.key", "-CAcreateserial", "-out", f"{name}.crt",
             "-days", days, "-extfile", f"{name}.ext", cwd=folder)
    return folder / f"{name}.crt", folder / f"{name}.key"
