#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# install-deps.sh [run|test|full] - installs the Debian packages that are missing, and for test and full
# the npm packages of tests/package.json, where there is npm (full installs it).
#
# The packages are those in the tables of ops/dependencies.md, up to the group named. Nothing is
# fetched or asked when all are there. No service that a package brings is started, and
# PostgreSQL's packages create no cluster: both are refused only while this script runs.
# Servers for the tests whose packages exclude each other are unpacked, with what they need and is not
# installed, each into a folder of its own under $HOLDFAST_SERVERS.
# HOLDFAST_NO_INSTALL=1 only says what is missing.
set -eu

group=${1:-run}
list=$(dirname "$0")/dependencies.md
policy=/usr/sbin/policy-rc.d
cluster_conf=/etc/postgresql-common/createcluster.d/zz-holdfast-install.conf
servers=${HOLDFAST_SERVERS:-/opt/holdfast-servers}
made_policy=
made_cluster_conf=
downloads=

case $group in
run) groups='run' unpacks= ;;
test) groups='run test' unpacks=1 ;;
full) groups='run test full' unpacks=1 ;;
*)
    echo "usage: $0 [run|test|full]" >&2
    exit 2
    ;;
esac

# One line for each package wanted; a line holds the names it may have.
wanted() {
    for g in $groups; do
        sed -n "s/^| *\([^|]*[^| ]\) *| *$g *|.*/\1/p" "$list"
    done | sed 's/ or / /g'
}

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing() {
    wanted | while read -r alternatives; do
        found=
        for name in $alternatives; do
            if is_installed "$name"; then
                found=1
            fi
        done
        [ -n "$found" ] || echo "$alternatives"
    done
}

# One line for each server to unpack: its folder, then its packages.
missing_servers() {
    [ -n "$unpacks" ] || return 0
    sed -n 's/^| *\([^|]*[^| ]\) *| *unpacked as \([a-z]*\) *|.*/\2 \1/p' "$list" |
        while read -r folder packages; do
            [ -d "$servers/$folder/usr" ] || echo "$folder $packages"
        done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 NEEDRESTART_MODE=l \
        apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

restore() {
    [ -z "$made_policy" ] || as_root rm -f "$policy"
    [ -z "$made_cluster_conf" ] || as_root rm -f "$cluster_conf"
    [ -z "$downloads" ] || as_root rm -rf "$downloads"
}

refuse_services() {
    if [ ! -e "$policy" ]; then
        made_policy=1
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
}

refuse_cluster() {
    made_cluster_conf=1
    as_root mkdir -p "$(dirname "$cluster_conf")"
    echo 'create_main_cluster = false' | as_root tee "$cluster_conf" >/dev/null
}

# The first of the names that apt can install; the first name when none is, for a clear error.
choose() {
    for name in "$@"; do
        if apt-cache policy "$name" | grep -q '^ *Candidate: *[^( ]'; then
            echo "$name"
            return
        fi
    done
    echo "$1"
}

install_packages() {
    refuse_services
    refuse_cluster
    packages=$(echo "$names" | while read -r alternatives; do
        # shellcheck disable=SC2086 # names are words
        choose $alternatives
    done)
    # shellcheck disable=SC2086 # the packages are words
    apt_get install -y --no-install-recommends $packages
}

# Unpacks the packages named and what they depend on; a mail transport agent would not be used.
unpack_server() {
    folder=$1
    shift
    as_root rm -rf "$downloads/archives" "$downloads/root"
    as_root mkdir -p "$downloads/archives/partial" "$downloads/root/usr/lib"
    as_root ln -s usr/lib "$downloads/root/lib" # as Debian itself has it; some packages name /lib
    apt_get install -y --download-only --no-install-recommends \
        -o Dir::Cache::archives="$downloads/archives" "$@" dovecot-imapd-
    for package in "$downloads"/archives/*.deb; do
        case ${package##*/} in
        exim4*) ;;
        *) dpkg-deb --fsys-tarfile "$package" | as_root tar -x --keep-directory-symlink -C "$downloads/root" ;;
        esac
    done
    as_root mkdir -p "$servers"
    as_root rm -rf "${servers:?}/$folder"
    as_root mv "$downloads/root" "$servers/$folder"
}

# What the tests take from npm, as the lock file says. For test a machine without npm, or without a
# registry, goes without: the tests that need it say so.
install_modules() {
    tests=$(dirname "$0")/../tests
    if [ "$group" = run ] || ! command -v npm >/dev/null ||
        cmp -s "$tests/package-lock.json" "$tests/node_modules/.holdfast-lock"; then
        return
    fi
    if [ -n "${HOLDFAST_NO_INSTALL:-}" ]; then
        echo "missing: the npm packages of $tests/package.json" >&2
        exit 1
    fi
    if ! (cd "$tests" && npm ci --no-audit --no-fund --ignore-scripts); then
        echo "no npm packages: the tests of OAuth are skipped" >&2
        [ "$group" = test ]
        return
    fi
    cp "$tests/package-lock.json" "$tests/node_modules/.holdfast-lock"
}

names=$(missing)
servers_missing=$(missing_servers)
if [ -z "$names$servers_missing" ]; then
    install_modules
    exit 0
fi
echo "missing packages:" "$(echo "$names" | tr '\n' ' ')" "$(echo "$servers_missing" | cut -d' ' -f2- | tr '\n' ' ')"
if [ -n "${HOLDFAST_NO_INSTALL:-}" ]; then
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "not a Debian system: install what corresponds to $list" >&2
    exit 1
fi

trap restore EXIT
trap 'exit 1' HUP INT TERM

apt_get update
[ -z "$names" ] || install_packages
if [ -n "$servers_missing" ]; then
    downloads=$(mktemp -d)
    chmod 755 "$downloads" # apt downloads as a user of its own
    echo "$servers_missing" | while read -r one; do
        # shellcheck disable=SC2086 # a folder and packages
        unpack_server $one </dev/null
    done
fi
install_modules
