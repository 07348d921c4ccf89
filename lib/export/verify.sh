#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Checks an export of a Holdfast archive, without Holdfast.
#
#   sh verify.sh [-k KEY.pem] [-f FINGERPRINT] [-c] FOLDER|FILE.tar.zst
#
#   -k KEY          the public key that must have signed; else the one in the export
#   -f FINGERPRINT  what the fingerprint of that key must be (64 hexadecimal digits)
#   -c              content only: FILE.sha256 and FILE.sig, which belong beside FILE, are not here
#
# Needs sh, tar, zstd, sha256sum, openssl 3, and of coreutils mktemp, rm and wc. A folder needs neither
# tar nor zstd. Exit status: 0 everything that is said below was proved; 1 it was not; 2 usage.
#
# This file is part of what it checks. Who changed an export could have changed this script too: take it
# from an export or a Holdfast (`holdfast key --verify-script`) that you trust, or do its steps by hand.

key="" wanted="" content_only="" work=""
usage() { echo "usage: sh verify.sh [-k KEY.pem] [-f FINGERPRINT] [-c] FOLDER|FILE.tar.zst" >&2; exit 2; }
fail() { echo "FAILED: $*" >&2; exit 1; }
clean() { if [ -n "$work" ]; then rm -rf "$work"; fi; }

while getopts k:f:c option; do
    case $option in
    k) key=$OPTARG ;;
    f) wanted=$OPTARG ;;
    c) content_only=yes ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || usage
given=$1
trap clean EXIT
trap 'exit 1' HUP INT TERM

# The hash of a file, whatever its name is.
hash_of() { sum=$(sha256sum <"$1") || exit 1; echo "${sum%% *}"; }

# signed FILE SIGNATURE: whether the key signed FILE.
signed() { openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in "$1" -sigfile "$2" >/dev/null 2>&1; }

# Every file below a folder, one letter each; anything that is neither file nor folder ends it.
walk() {
    for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        if [ -L "$entry" ]; then
            fail "$entry is a link"
        elif [ -d "$entry" ]; then
            (walk "$entry") || exit 1
        elif [ -f "$entry" ]; then
            printf x
        elif [ -e "$entry" ]; then
            fail "$entry is not an ordinary file"
        fi
    done
}

check_folder() {
    for name in SHA256SUMS SHA256SUMS.sig public-key.pem; do
        [ -f "$1/$name" ] || fail "$1/$name is missing"
    done
    signed "$1/SHA256SUMS" "$1/SHA256SUMS.sig" || fail "the signature of SHA256SUMS does not fit the key"
    (cd "$1" && sha256sum -c SHA256SUMS >/dev/null) || fail "a file is not what SHA256SUMS says (above)"
    listed=$(wc -l <"$1/SHA256SUMS") || exit 1
    there=$(walk "$1") || exit 1
    [ ${#there} -eq $((listed + 2)) ] ||
        fail "${#there} files are there, $((listed + 2)) should be: one was added"
}

if [ -d "$given" ]; then
    folder=$given
elif [ -f "$given" ]; then
    work=$(mktemp -d) || exit 1
    zstd -q -t "$given" || fail "$given is not whole"
    complaint=$(zstd -q -d -c "$given" | tar -x -f - -C "$work" 2>&1) || fail "tar: $complaint"
    folder=$work/holdfast-export
else
    fail "$given is not there"
fi
[ -d "$folder" ] || fail "there is no folder holdfast-export in it"
[ -n "$key" ] || key=$folder/public-key.pem
[ -f "$key" ] || fail "$key is missing"
openssl pkey -pubin -in "$key" -outform DER >/dev/null 2>&1 || fail "$key is not a public key"
fingerprint=$(openssl pkey -pubin -in "$key" -outform DER 2>/dev/null | sha256sum) || exit 1
fingerprint=${fingerprint%% *}
[ -z "$wanted" ] || [ "$wanted" = "$fingerprint" ] || fail "the key has the fingerprint $fingerprint"

if [ -n "$work" ] && [ -z "$content_only" ]; then
    for beside in sha256 sig; do
        [ -f "$given.$beside" ] ||
            fail "$given.$beside is missing (with -c the content alone is checked)"
    done
    signed "$given.sha256" "$given.sig" || fail "the signature of $given.sha256 does not fit the key"
    read -r sum rest <"$given.sha256" || fail "$given.sha256 is empty"
    : "$rest"
    [ "$sum" = "$(hash_of "$given")" ] || fail "$given is not the file that was signed"
    echo "$given is, octet for octet, the file that was signed."
fi
check_folder "$folder"
echo "All $listed files of the export are as they were signed; none is missing, none was added."
echo "They were signed with the key whose fingerprint (SHA-256) is"
echo "  $fingerprint"
if [ -z "$wanted" ] && [ "$key" = "$folder/public-key.pem" ]; then
    echo "The key comes from the export itself. WHO signed is proved only when this fingerprint equals"
    echo "the one that you have from the archive's operator by another way (holdfast key)."
fi
echo "Not checked here: that each message in an mbox has the SHA-256 in manifest.csv (it follows from the"
echo "signature only that the operator's program wrote both), and that the export is complete (query.txt)."
