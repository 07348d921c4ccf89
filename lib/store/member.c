/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/member.c - the ustar header of a message.
 */
#include "store/internal.h"

/* Offsets and widths of POSIX.1-1988, "ustar Interchange Format". */
enum {
    NAME_AT = 0,
    MODE_AT = 100,
    UID_AT = 108,
    GID_AT = 116,
    SIZE_AT = 124,
    MTIME_AT = 136,
    CHECKSUM_AT = 148,
    TYPE_AT = 156,
    MAGIC_AT = 257,
    DEVMAJOR_AT = 329,
    DEVMINOR_AT = 337,
    ID_DIGITS = 7,
    LONG_DIGITS = 11,
    CHECKSUM_BYTES = 8,
};

/* Octal with leading zeros; the octet behind it is already the NUL that ends the field. */
static void put_octal(uint8_t *at, size_t digits, uint64_t value)
{
    for (size_t i = digits; i > 0; i--) {
        at[i - 1] = (uint8_t)('0' + (value & 7));
        value >>= 3;
    }
}

static void put_checksum(uint8_t *header)
{
    uint32_t sum = 0;

    memset(header + CHECKSUM_AT, ' ', CHECKSUM_BYTES);
    for (size_t i = 0; i < STORE_BLOCK_BYTES; i++)
        sum += header[i];
    put_octal(header + CHECKSUM_AT, 6, sum);
    header[CHECKSUM_AT + 6] = 0; /* then the space that is there: as every tar writes it */
}

void store_write_header(struct bytes name, uint64_t size_bytes, uint8_t out[STORE_BLOCK_BYTES])
{
    assert(name.len < MODE_AT - NAME_AT);
    memset(out, 0, STORE_BLOCK_BYTES);
    memcpy(out + NAME_AT, name.ptr, name.len);
    put_octal(out + MODE_AT, ID_DIGITS, 0444);
    put_octal(out + UID_AT, ID_DIGITS, 0);
    put_octal(out + GID_AT, ID_DIGITS, 0);
    put_octal(out + SIZE_AT, LONG_DIGITS, size_bytes);
    put_octal(out + MTIME_AT, LONG_DIGITS, 0);
    out[TYPE_AT] = '0';
    memcpy(out + MAGIC_AT,
           "ustar\0"
           "00",
           8);
    put_octal(out + DEVMAJOR_AT, ID_DIGITS, 0);
    put_octal(out + DEVMINOR_AT, ID_DIGITS, 0);
    put_checksum(out);
}

bool store_write_member_header(const struct crypto_sha256 *sha256, uint64_t size_bytes,
                               uint8_t out[STORE_BLOCK_BYTES], struct err *err)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t name[2 * CRYPTO_SHA256_BYTES + 4];

    if (size_bytes > LIMIT_MESSAGE_BYTES)
        return err_fail(err, ERR_LIMIT, "message of %ju bytes, at most %ju are stored",
                        (uintmax_t)size_bytes, (uintmax_t)LIMIT_MESSAGE_BYTES);
    for (size_t i = 0; i < CRYPTO_SHA256_BYTES; i++) {
        name[2 * i] = (uint8_t)digits[sha256->octets[i] >> 4];
        name[2 * i + 1] = (uint8_t)digits[sha256->octets[i] & 15];
    }
    memcpy(name + 2 * CRYPTO_SHA256_BYTES, ".eml", 4);
    store_write_header(bytes_of(name, sizeof name), size_bytes, out);
    return true;
}

uint32_t store_padding_bytes(uint64_t size_bytes)
{
    return (uint32_t)(-size_bytes & (STORE_BLOCK_BYTES - 1));
}

uint64_t store_member_bytes(uint64_t size_bytes)
{
    return STORE_BLOCK_BYTES + size_bytes + store_padding_bytes(size_bytes);
}
