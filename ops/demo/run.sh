#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh [BINDIR] - serves the archive in the foreground; without any account, a demonstration of it.
#
# The demonstration: a Dovecot on loopback, over TLS with a certificate authority of its own, with the
# mail of three people (genmail.py). Holdfast archives the three accounts and serves them to the
# auditor "auditor". All of it lies in <data_dir>/demo and is used again at the next run. Ctrl-C ends
# everything and leaves the data directory alone. BINDIR: else $HOLDFAST_BIN.
set -euo pipefail
umask 077
PATH=$PATH:/usr/local/sbin:/usr/sbin # dovecot is there, and not every user looks there

here=$(cd "$(dirname "$0")" && pwd)
bin=${1:-${HOLDFAST_BIN:-$here/../../build/release/bin}}
people=(alice bruno chiyo)
run=          # sockets of Dovecot; removed at the end
dovecot_pid=
holdfastd_pid=

say() {
    printf '%s\n' "$*"
}

die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

holdfast() {
    "$bin/holdfast" "$@"
}

# The first of these ports that nobody has, else any free one.
free_port() {
    python3 - "$@" <<'PYTHON'
import socket, sys
for port in [int(p) for p in sys.argv[1:]] + [0]:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(s.getsockname()[1])
        break
PYTHON
}

# Member of the JSON on standard input: field status data_dir
field() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

await_port() {
    for _ in $(seq 200); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
            return
        fi
        kill -0 "$dovecot_pid" 2>/dev/null || die "Dovecot did not start: $demo/dovecot.log"
        sleep 0.1
    done
    die "Dovecot does not answer on port $1: $demo/dovecot.log"
}

# shellcheck disable=SC2317 # the trap calls it
finish() {
    trap '' INT TERM HUP
    if [ -n "$holdfastd_pid" ]; then
        say "ending ..."
        kill "$holdfastd_pid" 2>/dev/null || true
        wait "$holdfastd_pid" 2>/dev/null || true
    fi
    if [ -n "$dovecot_pid" ]; then
        kill "$dovecot_pid" 2>/dev/null || true
        wait "$dovecot_pid" 2>/dev/null || true
    fi
    [ -z "$run" ] || rm -rf "$run"
}

# ---- the source: Dovecot ---------------------------------------------------------------------------

make_certificates() {
    local tls=$demo/tls
    [ ! -e "$tls/done" ] || return 0
    mkdir -p "$tls"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
        -subj '/CN=Holdfast demonstration' -keyout "$tls/ca.key" -out "$tls/ca.crt" 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=localhost' \
        -keyout "$tls/server.key" -out "$tls/server.csr" 2>/dev/null
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >"$tls/server.ext"
    openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" -CAcreateserial \
        -days 3650 -extfile "$tls/server.ext" -out "$tls/server.crt" 2>/dev/null
    : >"$tls/done"
}

make_mail() {
    [ ! -e "$demo/mail/done" ] || return 0
    rm -rf "$demo/mail"
    mkdir -p "$demo/mail"
    python3 "$here/genmail.py" "$demo/mail"
    : >"$demo/mail/done"
}

random_word() {
    openssl rand -hex 8
}

make_passwords() {
    local name
    for name in "${people[@]}" auditor; do
        [ -e "$demo/$name.password" ] || random_word >"$demo/$name.password"
    done
    : >"$demo/users"
    for name in "${people[@]}"; do
        printf '%s:{PLAIN}%s:%s:%s::%s::\n' "$name" "$(cat "$demo/$name.password")" "$owner" \
            "$group" "$demo/mail/$name" >>"$demo/users"
    done
}

# Run by an ordinary user, Dovecot is that user throughout.
unprivileged_settings() {
    [ "$(id -u)" -ne 0 ] || return 0
    cat <<CONF
default_internal_user = $(id -un)
default_internal_group = $(id -gn)
default_login_user = $(id -un)
service anvil {
  chroot =
}
CONF
}

# Settings have other names since Dovecot 2.4.
dovecot_settings() {
    local chroot=
    [ "$(id -u)" -eq 0 ] || chroot='chroot ='
    if [[ $(dovecot --version) == 2.[0-3].* ]]; then
        cat <<CONF
ssl_cert = <$demo/tls/server.crt
ssl_key = <$demo/tls/server.key
mail_location = maildir:~/Maildir
passdb {
  driver = passwd-file
  args = $run/users
}
userdb {
  driver = passwd-file
  args = $run/users
}
CONF
    else
        cat <<CONF
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
ssl_server_cert_file = $demo/tls/server.crt
ssl_server_key_file = $demo/tls/server.key
mail_driver = maildir
mail_path = ~/Maildir
passdb passwd-file {
  passwd_file_path = $run/users
}
userdb passwd-file {
  passwd_file_path = $run/users
}
CONF
    fi
    cat <<CONF
base_dir = $run/dovecot
state_dir = $run/state
log_path = $demo/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
first_valid_uid = 1
namespace inbox {
  inbox = yes
  separator = /
}
service imap-login {
  $chroot
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = $port
    ssl = yes
  }
}
CONF
    unprivileged_settings
}

start_dovecot() {
    command -v dovecot >/dev/null || die "dovecot is not installed: ops/install-deps.sh run"
    run=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-demo-XXXXXX")
    chmod 755 "$run"
    # Its authentication process is of another user when started by root.
    cp "$demo/users" "$run/users"
    chmod 600 "$run/users"
    [ "$(id -u)" -ne 0 ] || chown dovecot "$run/users"
    port=$(free_port "$(cat "$demo/port" 2>/dev/null || echo 10993)")
    echo "$port" >"$demo/port"
    # The version stands first in 2.4.
    dovecot_settings >"$run/dovecot.conf"
    dovecot -F -c "$run/dovecot.conf" &
    dovecot_pid=$!
    await_port "$port"
}

make_source() {
    owner=$(stat -c %u "$data_dir")
    group=$(stat -c %g "$data_dir")
    mkdir -p "$demo"
    make_certificates
    make_mail
    make_passwords
    chown -R "$owner:$group" "$demo"
    start_dovecot
}

# ---- the archive ----------------------------------------------------------------------------------

# Own ports when the usual ones are taken; what the environment says, stands.
choose_ports() {
    : "${HOLDFAST_IMAPD_LISTEN_TLS=127.0.0.1:$(free_port 1993)}"
    : "${HOLDFAST_IMAPD_LISTEN=127.0.0.1:$(free_port 1143)}"
    export HOLDFAST_IMAPD_LISTEN_TLS HOLDFAST_IMAPD_LISTEN
}

start_holdfastd() {
    local ready
    exec {ready}< <(exec "$bin/holdfastd" 2>>"$log")
    holdfastd_pid=$!
    if ! read -r -u "$ready" line || [[ $line != ready* ]]; then
        tail -n 3 "$log" >&2
        die "holdfastd did not start: $log"
    fi
}

add_accounts() {
    local name url known
    for name in "${people[@]}"; do
        url="imaps://$name@localhost:$port/"
        if known=$(holdfast account show "$name" --json 2>/dev/null); then
            # The port may be another one than last time.
            [ "$(field url <<<"$known")" = "$url" ] || holdfast account edit "$name" --url "$url"
        else
            holdfast account add "$name" --url "$url" --password-file "$demo/$name.password" \
                --tls-ca "$demo/tls/ca.crt" --no-test
        fi
    done
}

add_auditor() {
    holdfast auditor show auditor >/dev/null 2>&1 && return
    holdfast auditor add auditor --password-file "$demo/auditor.password"
    holdfast auditor grant auditor --all
}

explain_connection() {
    local tls=${HOLDFAST_IMAPD_LISTEN_TLS##*:}
    cat <<TEXT

The archive is open for reading, over IMAP:

    host       localhost (127.0.0.1)
    port       $tls, TLS from the start ("SSL/TLS")
TEXT
    if [ -e "$demo/auditor.password" ]; then
        cat <<TEXT
    user       auditor
    password   $(cat "$demo/auditor.password")
TEXT
    fi
    cat <<TEXT
    certificate: made by Holdfast itself, so clients ask once whether to trust it
                 ($data_dir/keys/imapd.crt)

Mutt:         mutt -f imaps://auditor@localhost:$tls/
Thunderbird:  add an account by hand: IMAP, localhost, port $tls, SSL/TLS, normal password,
              user auditor; accept the certificate. Any outgoing server will do: it is not used.

TEXT
}

explain_commands() {
    cat <<TEXT
In another terminal${HOLDFAST_HOLDFAST_DATA_DIR:+ (with HOLDFAST_HOLDFAST_DATA_DIR=$data_dir)}:

    $bin/holdfast status
    $bin/holdfast account show $1
    $bin/holdfast sync
    $bin/holdfast search 'in:inbox has:attachment after:2001'
    $bin/holdfast show '$1/INBOX;UID=1'
    $bin/holdfast auditor list
    $bin/holdfast help

Log: $log
Ctrl-C ends everything; the archive stays in $data_dir.
TEXT
}

serve() {
    explain_connection
    explain_commands "$1"
    if wait "$holdfastd_pid"; then
        exit 0 # it was asked to end, by the same Ctrl-C
    fi
    holdfastd_pid=
    die "holdfastd has ended: see $log"
}

main() {
    local accounts
    [ -x "$bin/holdfast" ] || die "no programs in $bin: make"
    trap finish EXIT
    trap 'exit 0' INT TERM HUP

    holdfast init >/dev/null
    data_dir=$(holdfast status --json | field data_dir)
    demo=$data_dir/demo
    log=$data_dir/holdfastd.log
    accounts=$(holdfast account list --json | python3 -c \
        'import json, sys; a = json.load(sys.stdin); print(a[0]["name"] if a else "")')

    choose_ports
    if [ -n "$accounts" ] && [ ! -d "$demo" ]; then
        say "Accounts are configured: serving the archive in $data_dir."
        start_holdfastd
        serve "$accounts"
    fi
    say "Demonstration: mail of ${people[*]} on a Dovecot of its own, archived in $data_dir."
    make_source
    add_accounts
    holdfast sync || say "(that may be tried again: $bin/holdfast sync)"
    add_auditor
    start_holdfastd
    serve "${people[0]}"
}

main
