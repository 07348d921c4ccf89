/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/container.h"

static const struct ingest_container containers[] = {
    // clang-format off
    { BYTES_INIT("\x1f\x8b\x08"),             0, "compressed (gzip): unpack it first", true, true },
    { BYTES_INIT("1AY&SY"),                   4, "compressed (bzip2): unpack it first", true, true },
    { BYTES_INIT("\x28\xb5\x2f\xfd"),         0, "compressed (zstd): unpack it first", true, true },
    { BYTES_INIT("\xfd" "7zXZ\0"),            0, "compressed (xz): unpack it first", true, true },
    { BYTES_INIT("\x04\x22\x4d\x18"),         0, "compressed (lz4): unpack it first", true, true },
    { BYTES_INIT("Dovecot-LZ4\r*\x9b\xc5"),   0, "compressed (lz4 of Dovecot): let doveadm unpack it first", true, true },
    { BYTES_INIT("CRYPTED\x03\x07"),          0, "encrypted (mail_crypt of Dovecot): let doveadm decrypt it first", true, true },
    { BYTES_INIT("\0\x05\x16\x07"),          0, "metadata of macOS (AppleDouble)", true, false },
    { BYTES_INIT("!BDN"),                     0, "an Outlook store (PST, OST): export mbox or message files from it", false, true },
    { BYTES_INIT("\xcf\xad\x12\xfe"),         0, "an Outlook Express store (DBX): export message files from it", false, true },
    { BYTES_INIT("*mbx*\r\n"),                0, "an mbx mailbox of UW IMAP: turn it into an mbox first", false, true },
    { BYTES_INIT("\1\1\1\1\n"),              0, "an MMDF mailbox: turn it into an mbox first", false, true },
    { BYTES_INIT("2 M"),                      0, "a mailbox of Dovecot (dbox): let doveadm export it as Maildir", false, true },
    { BYTES_INIT("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), 0, "an OLE file, such as a .msg of Outlook: not read", false, false },
    { BYTES_INIT("PK\3\4"),                   0, "a zip archive: not read", false, false },
    // clang-format on
};

const struct ingest_container *ingest_find_container(struct bytes head)
{
    for (size_t i = 0; i < ARRAY_LEN(containers); i++)
        if (bytes_start_with(bytes_slice(head, containers[i].at, SIZE_MAX), containers[i].start))
            return &containers[i];
    return NULL;
}
